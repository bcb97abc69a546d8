//! Learning rates as pure functions of the step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// The factor of the learning rate at each step: a function of the step and nothing else, so a run
/// that is resumed has it back with its step.
///
/// A step is whatever the caller counts: an epoch, or a step of the optimizer. The first is 0.
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
    /// Steps in which it rises: the factor of step t < w is (t + 1) / w. 0 for none.
    pub warmup: u64,
    /// How it falls; its own step 0 comes after the warm-up.
    pub decay: Decay,
}

/// How a learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "snake_case")]
pub enum Decay {
    /// Not at all.
    #[default]
    Constant,
    /// gamma^⌊t / every⌋, as PyTorch's `StepLR`. An `every` of 0 is taken as 1.
    Step {
        /// Steps between two falls.
        every: u64,
        /// What each multiplies by.
        gamma: f64,
    },
    /// floor + (1 − floor) (1 + cos(π t / steps)) / 2 up to `steps`, then `floor`; as PyTorch's
    /// `CosineAnnealingLR` on its way down.
    Cosine {
        /// Steps until it is down.
        steps: u64,
        /// The factor that is left.
        floor: f64,
    },
}

impl LrSchedule {
    /// Always 1.
    pub fn constant() -> Self {
        Self::default()
    }

    /// gamma^⌊t / every⌋.
    pub fn step(every: u64, gamma: f64) -> Self {
        Self { warmup: 0, decay: Decay::Step { every, gamma } }
    }

    /// From 1 along a cosine to `floor`.
    pub fn cosine(steps: u64, floor: f64) -> Self {
        Self { warmup: 0, decay: Decay::Cosine { steps, floor } }
    }

    /// Rises for `steps` first.
    #[must_use]
    pub fn warmup(self, steps: u64) -> Self {
        Self { warmup: steps, ..self }
    }

    /// The factor at `step`.
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
