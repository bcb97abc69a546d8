//! Means over seeds and their confidence intervals.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean over seeds with its 95 % confidence interval (Student's t), infinite for a single seed.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    pub per_seed: Vec<f64>,
    pub mean: f64,
    pub ci95: [f64; 2],
}

impl Estimate {
    /// The estimate from one value per seed.
    pub fn from_seeds(per_seed: impl IntoIterator<Item = f64>) -> Self {
        let per_seed: Vec<f64> = per_seed.into_iter().collect();
        let n = per_seed.len() as f64;
        let mean = per_seed.iter().sum::<f64>() / n;
        let variance = per_seed.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let half = match StudentsT::new(0.0, 1.0, n - 1.0) {
            Ok(t) => t.inverse_cdf(0.975) * (variance / n).sqrt(),
            Err(_) => f64::INFINITY,
        };
        Self { per_seed, mean, ci95: [mean - half, mean + half] }
    }

    /// The estimate of the paired differences `self` − `other`.
    pub fn minus(&self, other: &Self) -> Self {
        Self::from_seeds(self.per_seed.iter().zip(&other.per_seed).map(|(a, b)| a - b))
    }

    /// Half the width of the interval.
    pub fn half_width(&self) -> f64 {
        (self.ci95[1] - self.ci95[0]) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::Estimate;

    #[test]
    fn the_interval_is_that_of_students_t() {
        // scipy.stats.t.interval(0.95, 4, loc=3, scale=scipy.stats.sem([1, 2, 3, 4, 5]))
        let estimate = Estimate::from_seeds([1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(estimate.mean, 3.0);
        assert!((estimate.ci95[0] - 1.036_756_838_522_438_7).abs() < 1e-9, "{estimate:?}");
        assert!((estimate.ci95[1] - 4.963_243_161_477_561).abs() < 1e-9, "{estimate:?}");
    }

    #[test]
    fn the_interval_of_a_single_seed_is_infinite() {
        assert_eq!(Estimate::from_seeds([7.0]).ci95, [f64::NEG_INFINITY, f64::INFINITY]);
    }
}
