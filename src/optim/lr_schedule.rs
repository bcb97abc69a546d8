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
    /// (1 − t / steps)^power up to step `steps`, then 0; PyTorch's `PolynomialLR`.
    Polynomial {
        /// The number of steps of the decay.
        steps: u64,
        /// The exponent: 1 for a linear decay.
        power: f64,
    },
    /// From 1 / div_factor to 1 and then to 1 / (div_factor · final_div_factor), where it stays:
    /// PyTorch's `OneCycleLR`, without its cycle of momentum. The learning rate of the optimizer's
    /// configuration is the highest, `max_lr`.
    OneCycle {
        /// The number of steps of the cycle.
        steps: u64,
        /// The fraction of the steps in which the factor rises, by default 0.3.
        #[serde(default = "one_cycle::pct_start")]
        pct_start: f64,
        /// By default 25.
        #[serde(default = "one_cycle::div_factor")]
        div_factor: f64,
        /// By default 10000.
        #[serde(default = "one_cycle::final_div_factor")]
        final_div_factor: f64,
        /// The course between these factors, by default a cosine.
        #[serde(default)]
        anneal: Anneal,
    },
}

/// The course of a factor between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Half a period of a cosine.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
}

/// The defaults of [`Decay::OneCycle`].
mod one_cycle {
    pub(super) fn pct_start() -> f64 {
        0.3
    }
    pub(super) fn div_factor() -> f64 {
        25.0
    }
    pub(super) fn final_div_factor() -> f64 {
        1e4
    }
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

    /// A factor that decays from 1 to 0 as (1 − t / steps)^power.
    pub fn polynomial(steps: u64, power: f64) -> Self {
        Self { warmup: 0, decay: Decay::Polynomial { steps, power } }
    }

    /// One cycle of `steps` steps with PyTorch's defaults; [`Decay::OneCycle`] has all settings.
    pub fn one_cycle(steps: u64) -> Self {
        let decay = Decay::OneCycle {
            steps,
            pct_start: one_cycle::pct_start(),
            div_factor: one_cycle::div_factor(),
            final_div_factor: one_cycle::final_div_factor(),
            anneal: Anneal::Cosine,
        };
        Self { warmup: 0, decay }
    }

    /// Adds a warm-up of `steps` steps.
    #[must_use]
    pub fn warmup(self, steps: u64) -> Self {
        Self { warmup: steps, ..self }
    }

    /// Checks that the factor of no step is NaN, infinite or negative: `gamma` and `floor` must be
    /// finite and ≥ 0, `power`, `div_factor` and `final_div_factor` finite and above 0, and
    /// `pct_start` in [0, 1]. A warm-up or an interval of 0 is accepted.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), which names the setting.
    pub fn check(&self) -> Result<()> {
        let factor = |name, value| (name, value, "finite and ≥ 0", is_factor(value));
        let positive =
            |name, value| (name, value, "finite and above 0", is_factor(value) && value > 0.0);
        let checks = match self.decay {
            Decay::Constant => vec![],
            Decay::Step { gamma, .. } => vec![factor("gamma", gamma)],
            Decay::Cosine { floor, .. } => vec![factor("floor", floor)],
            Decay::Polynomial { power, .. } => vec![positive("power", power)],
            Decay::OneCycle { pct_start, div_factor, final_div_factor, .. } => vec![
                ("pct_start", pct_start, "in [0, 1]", (0.0..=1.0).contains(&pct_start)),
                positive("div_factor", div_factor),
                positive("final_div_factor", final_div_factor),
            ],
        };
        let Some((name, value, expected, _)) = checks.into_iter().find(|(.., legal)| !legal) else {
            return Ok(());
        };
        let what = format!("{name} of the learning rate schedule");
        Err(error::out_of_range(what, expected, value))
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
            Self::Polynomial { steps, .. } if step >= steps => 0.0,
            Self::Polynomial { steps, power } => (1.0 - step as f64 / steps as f64).powf(power),
            Self::OneCycle { steps, pct_start, div_factor, final_div_factor, anneal } => {
                let (first, last) = (1.0 / div_factor, 1.0 / (div_factor * final_div_factor));
                let (step, end) = (step as f64, steps as f64 - 1.0);
                let peak = pct_start * steps as f64 - 1.0;
                if step <= peak {
                    anneal.between(first, 1.0, step / peak)
                } else {
                    anneal.between(1.0, last, (step - peak) / (end - peak))
                }
            }
        }
    }
}

impl Anneal {
    /// The value at the fraction `at` of the way from `start` to `end`.
    fn between(self, start: f64, end: f64, at: f64) -> f64 {
        // NaN, 0 / 0, where the way has no steps.
        let at = if at.is_nan() { 1.0 } else { at.clamp(0.0, 1.0) };
        match self {
            Self::Linear => start + (end - start) * at,
            Self::Cosine => end + (start - end) * (1.0 + (PI * at).cos()) / 2.0,
        }
    }
}

pub(super) fn is_factor(value: f64) -> bool {
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
