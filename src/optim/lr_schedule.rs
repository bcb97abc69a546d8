//! Learning rate schedules.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// A learning rate schedule: the factor of the learning rate at each step. It has no state, so that
/// a resumed run needs only its step.
///
/// The caller chooses what a step is: an epoch, or a step of the optimizer. The first is 0.
///
/// # Example
/// ```
/// use g2d::optim::LrSchedule;
///
/// let schedule = LrSchedule::cosine(100, 0.0).warmup(5);
/// assert_eq!(schedule.factor(0), 0.2);
/// assert_eq!(schedule.factor(4), 1.0);
/// assert_eq!(schedule.factor(5), 1.0);
/// assert!((schedule.factor(55) - 0.5).abs() < 1e-12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LrSchedule {
    /// The number w of warm-up steps: the factor of step t < w is (t + 1) / w.
    pub warmup: u64,
    /// The decay after the warm-up; it counts its steps t from the end of the warm-up.
    pub decay: Decay,
}

/// The decay of a learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum Decay {
    /// No decay.
    #[default]
    Constant,
    /// gamma^⌊t / every⌋, as PyTorch's `StepLR`. An `every` of 0 counts as 1.
    Step {
        /// The number of steps between two decays.
        every: u64,
        /// The factor of each decay.
        gamma: f64,
    },
    /// floor + (1 − floor) (1 + cos(π t / steps)) / 2 up to step `steps`, then `floor`; the
    /// decaying half of PyTorch's `CosineAnnealingLR`.
    Cosine {
        /// The number of steps of the decay.
        steps: u64,
        /// The factor after the decay.
        floor: f64,
    },
}

impl LrSchedule {
    /// The factor 1 at every step.
    pub fn constant() -> Self {
        Self::default()
    }

    /// The factor gamma^⌊t / every⌋ at step t.
    pub fn step(every: u64, gamma: f64) -> Self {
        Self { warmup: 0, decay: Decay::Step { every, gamma } }
    }

    /// A factor that decays from 1 to `floor` along a cosine.
    pub fn cosine(steps: u64, floor: f64) -> Self {
        Self { warmup: 0, decay: Decay::Cosine { steps, floor } }
    }

    /// Adds a warm-up of `steps` steps.
    #[must_use]
    pub fn warmup(self, steps: u64) -> Self {
        Self { warmup: steps, ..self }
    }

    /// Checks that the factor of no step is NaN, infinite or negative: `gamma` and `floor`
    /// must be finite and ≥ 0. A warm-up or an interval of 0 is accepted.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), which names the setting.
    pub fn check(&self) -> Result<()> {
        match self.decay {
            Decay::Step { gamma: value, .. } | Decay::Cosine { floor: value, .. }
                if !is_factor(value) =>
            {
                let what = match self.decay {
                    Decay::Step { .. } => "gamma of the learning rate schedule",
                    _ => "floor of the learning rate schedule",
                };
                Err(error::out_of_range(what, "finite and ≥ 0", value))
            }
            _ => Ok(()),
        }
    }

    /// The factor at step `step`. [`check`](Self::check) tells whether it is a valid one.
    pub fn factor(&self, step: u64) -> f64 {
        match step.checked_sub(self.warmup) {
            None => (step + 1) as f64 / self.warmup as f64,
            Some(step) => self.decay.factor(step),
        }
    }
}

impl Decay {
    fn factor(&self, step: u64) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Step { every, gamma } => gamma.powf((step / every.max(1)) as f64),
            Self::Cosine { steps, floor } if step >= steps => floor,
            Self::Cosine { steps, floor } => {
                floor + (1.0 - floor) * (1.0 + (PI * step as f64 / steps as f64).cos()) / 2.0
            }
        }
    }
}

fn is_factor(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// Refuses a learning rate factor that is NaN, infinite or negative.
pub(super) fn check_factor(factor: f64) -> Result<()> {
    if is_factor(factor) {
        return Ok(());
    }
    let hint = "`LrSchedule::check` checks all factors of a schedule";
    Err(error::config("learning rate factor", "a finite number ≥ 0", factor, hint))
}
