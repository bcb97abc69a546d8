//! Metrics of results.

use std::collections::BTreeMap;

use serde::Serialize;

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Higher,
    Lower,
}

/// The precision with which values are shown.
#[derive(Debug, Clone, Copy)]
pub enum Digits {
    /// Digits after the decimal point.
    Decimals(usize),
    /// Significant digits, for values whose unit depends on the data.
    Significant(i32),
}

/// A metric of predictions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ResultMetric {
    /// The name in files.
    pub key: &'static str,
    /// The name in tables and figures.
    pub name: &'static str,
    /// The unit; empty for none.
    pub unit: &'static str,
    pub better: Direction,
    #[serde(skip)]
    pub digits: Digits,
}

impl ResultMetric {
    pub const ACCURACY: Self = Self {
        key: "accuracy",
        name: "accuracy",
        unit: "%",
        better: Direction::Higher,
        digits: Digits::Decimals(1),
    };
    pub const MAPE: Self = Self {
        key: "mape",
        name: "MAPE",
        unit: "%",
        better: Direction::Lower,
        digits: Digits::Decimals(2),
    };
    pub const RMSE: Self = Self {
        key: "rmse",
        name: "RMSE",
        unit: "",
        better: Direction::Lower,
        digits: Digits::Significant(3),
    };
    pub const MAE: Self = Self { key: "mae", name: "MAE", ..Self::RMSE };
    pub const R2: Self = Self {
        key: "r2",
        name: "R²",
        unit: "",
        better: Direction::Higher,
        digits: Digits::Decimals(3),
    };

    /// Name and unit.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.unit).trim_end().to_owned()
    }

    /// The value with a sign such that higher is better. Applied twice it returns the value.
    pub fn score(&self, value: f64) -> f64 {
        match self.better {
            Direction::Higher => value,
            Direction::Lower => -value,
        }
    }

    /// The better of two values.
    pub fn best(&self, a: f64, b: f64) -> f64 {
        self.score(self.score(a).max(self.score(b)))
    }

    /// The key of the metric on a split, such as `test_accuracy`.
    pub fn key_on(&self, split: &str) -> String {
        format!("{split}_{}", self.key)
    }

    /// A value with the digits of the metric.
    pub fn format(&self, value: f64) -> String {
        let decimals = match self.digits {
            Digits::Decimals(decimals) => decimals,
            Digits::Significant(digits) => {
                let before =
                    if value == 0.0 { 0.0 } else { value.abs().log10().floor() } as i32 + 1;
                (digits - before).max(0) as usize
            }
        };
        format!("{value:.decimals$}")
    }

    /// A value with its sign.
    pub fn format_signed(&self, value: f64) -> String {
        let sign = if value >= 0.0 { "+" } else { "" };
        format!("{sign}{}", self.format(value))
    }
}

/// Values by metric and split: `test_accuracy`, `val_accuracy`, ….
pub type Scores = BTreeMap<String, f64>;

/// The values of `metrics` on a split, with their keys. Extra metrics or values are ignored.
pub fn with_keys(metrics: &[ResultMetric], split: &str, values: &[f64]) -> Vec<(String, f64)> {
    metrics.iter().map(|metric| metric.key_on(split)).zip(values.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Digits, ResultMetric};

    #[test]
    fn values_of_any_magnitude_have_three_significant_digits() {
        let metric = ResultMetric { digits: Digits::Significant(3), ..ResultMetric::ACCURACY };
        let shown = [351_260.4, 22.46, 0.10034, 0.0].map(|value| metric.format(value));
        assert_eq!(shown, ["351260", "22.5", "0.100", "0.00"]);
        assert_eq!(ResultMetric::ACCURACY.format_signed(1.25), "+1.2");
        assert_eq!(ResultMetric::ACCURACY.format_signed(-0.5), "-0.5");
    }
}
