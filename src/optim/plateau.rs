//! A learning rate that falls when a score no longer improves.

use serde::{Deserialize, Serialize};

use super::lr_schedule::is_factor;
use crate::error::{self, Result};
use crate::number;

/// The smallest change of the factor that is made, as the `eps` of PyTorch's `ReduceLROnPlateau`.
const SMALLEST_CHANGE: f64 = 1e-8;

/// The configuration of a [`Plateau`], as the arguments of PyTorch's `ReduceLROnPlateau`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlateauConfig {
    /// Whether a higher score is better, by default true (`mode="max"`).
    pub higher_is_better: bool,
    /// The factor of each reduction, by default 0.1.
    pub gamma: f64,
    /// Number of scores without improvement that are accepted, by default 10.
    pub patience: u64,
    /// The improvement that counts, by default 0.0001.
    pub threshold: f64,
    /// Whether the threshold is a difference of scores; by default it is a fraction of the best one.
    pub absolute_threshold: bool,
    /// Number of scores after a reduction that do not count, by default 0.
    pub cooldown: u64,
    /// The smallest factor of the learning rate, by default 0.
    pub floor: f64,
}

impl Default for PlateauConfig {
    fn default() -> Self {
        Self {
            higher_is_better: true,
            gamma: 0.1,
            patience: 10,
            threshold: 1e-4,
            absolute_threshold: false,
            cooldown: 0,
            floor: 0.0,
        }
    }
}

/// A learning rate factor that is reduced when a score has not improved for some epochs, as
/// PyTorch's `ReduceLROnPlateau`.
///
/// Unlike an [`LrSchedule`](super::LrSchedule) it has a state. It is saved with serde: put it into
/// the state of your own loop that a snapshot holds.
///
/// # Example
/// ```
/// use g2d::optim::{Plateau, PlateauConfig};
///
/// let config = PlateauConfig { gamma: 0.5, patience: 1, ..PlateauConfig::default() };
/// let mut plateau = Plateau::new(config)?;
/// let factors = [0.6, 0.7, 0.7, 0.7].map(|accuracy| plateau.observe(accuracy).unwrap());
/// assert_eq!(factors, [1.0, 1.0, 1.0, 0.5]);
/// // optimizer.set_lr_factor(plateau.factor())?;
/// # g2d::Result::Ok(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    config: PlateauConfig,
    factor: f64,
    #[serde(with = "number")]
    best: Option<f64>,
    /// Scores in a row without improvement.
    worse: u64,
    /// Scores that do not count yet.
    cooling: u64,
}

impl Plateau {
    /// A plateau with the factor 1.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a `gamma` outside [0, 1), or a `threshold` or
    /// `floor` that is not finite or negative.
    pub fn new(config: PlateauConfig) -> Result<Self> {
        let PlateauConfig { gamma, threshold, floor, .. } = config;
        for (name, value, expected, legal) in [
            ("gamma", gamma, "in [0, 1)", (0.0..1.0).contains(&gamma)),
            ("threshold", threshold, "finite and ≥ 0", is_factor(threshold)),
            ("floor", floor, "finite and ≥ 0", is_factor(floor)),
        ] {
            if !legal {
                return Err(error::out_of_range(format!("{name} of a plateau"), expected, value));
            }
        }
        Ok(Self { config, factor: 1.0, best: None, worse: 0, cooling: 0 })
    }

    /// Adds the score of an epoch and returns the factor of the learning rate from now on.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) for a score that is NaN; nothing has changed
    /// then.
    pub fn observe(&mut self, score: f64) -> Result<f64> {
        if score.is_nan() {
            let hint = "check the validation data and the model's outputs for NaN";
            return Err(error::non_finite("score of a plateau", "a number", "NaN", hint));
        }
        if self.is_better(score) {
            (self.best, self.worse) = (Some(score), 0);
        } else {
            self.worse += 1;
        }
        if self.cooling > 0 {
            (self.cooling, self.worse) = (self.cooling - 1, 0);
        }
        if self.worse > self.config.patience {
            let reduced = (self.factor * self.config.gamma).max(self.config.floor);
            if self.factor - reduced > SMALLEST_CHANGE {
                self.factor = reduced;
            }
            (self.cooling, self.worse) = (self.config.cooldown, 0);
        }
        Ok(self.factor)
    }

    /// The factor of the learning rate.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    fn is_better(&self, score: f64) -> bool {
        let Some(best) = self.best else { return true };
        let PlateauConfig { higher_is_better, threshold, absolute_threshold, .. } = self.config;
        match (higher_is_better, absolute_threshold) {
            (true, true) => score > best + threshold,
            (true, false) => score > best * (1.0 + threshold),
            (false, true) => score < best - threshold,
            (false, false) => score < best * (1.0 - threshold),
        }
    }
}
