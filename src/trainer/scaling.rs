//! Dynamic loss scaling for fp16, as in PyTorch's `GradScaler`.

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// How the loss scale of fp16 changes. The loss is multiplied by the scale before backward, so that
/// small gradients do not underflow, and complete gradients are divided by it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossScaling {
    /// Initial scale; 65536 by default.
    pub initial: f64,
    /// Factor after `interval` finite optimizer steps in a row; 2 by default.
    pub growth: f64,
    /// Factor after an overflow; 0.5 by default.
    pub backoff: f64,
    /// Number of finite optimizer steps after which the scale grows; 2000 by default.
    pub interval: u64,
}

impl Default for LossScaling {
    fn default() -> Self {
        Self { initial: 65536.0, growth: 2.0, backoff: 0.5, interval: 2000 }
    }
}

impl LossScaling {
    pub(super) fn check(&self) -> Result<()> {
        let Self { initial, growth, backoff, interval } = *self;
        let wrong = [
            ("initial", initial, "finite and ≥ 1", initial.is_finite() && initial >= 1.0),
            ("growth", growth, "finite and > 1", growth.is_finite() && growth > 1.0),
            ("backoff", backoff, "between 0 and 1", backoff > 0.0 && backoff < 1.0),
            ("interval", interval as f64, "at least 1", interval >= 1),
        ]
        .into_iter()
        .find(|(.., right)| !right);
        match wrong {
            None => Ok(()),
            Some((name, value, expected, _)) => {
                Err(error::out_of_range(format_args!("loss scaling: {name}"), expected, value))
            }
        }
    }
}

/// The loss scale of a run; part of the [`ResumeState`](super::ResumeState).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    /// The factor of the loss.
    pub scale: f64,
    /// Number of finite optimizer steps since the scale last changed.
    pub good_steps: u64,
}

/// A loss scale and the rule by which it changes.
#[derive(Debug)]
pub(super) struct LossScaler {
    scaling: LossScaling,
    state: LossScale,
}

impl LossScaler {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a number out of range.
    pub(super) fn new(scaling: LossScaling) -> Result<Self> {
        scaling.check()?;
        Ok(Self { scaling, state: LossScale { scale: scaling.initial, good_steps: 0 } })
    }

    /// The factor of the loss.
    pub(super) fn scale(&self) -> f64 {
        self.state.scale
    }

    pub(super) fn state(&self) -> LossScale {
        self.state
    }

    pub(super) fn restore(&mut self, state: LossScale) {
        self.state = state;
    }

    /// Lowers the scale after an overflow. Below `Float`'s smallest normal number every gradient would
    /// be 0, so the scale stays above it.
    pub(super) fn back_off(&mut self) {
        let scale = (self.state.scale * self.scaling.backoff).max(f64::from(f32::MIN_POSITIVE));
        self.state = LossScale { scale, good_steps: 0 };
    }

    /// Counts finite gradients, and raises the scale after `interval` of them in a row. As in PyTorch
    /// the scale stays within the range of `Float`.
    pub(super) fn grow(&mut self) {
        self.state.good_steps += 1;
        if self.state.good_steps >= self.scaling.interval {
            let grown = self.state.scale * self.scaling.growth;
            let scale = if grown <= f64::from(f32::MAX) { grown } else { self.state.scale };
            self.state = LossScale { scale, good_steps: 0 };
        }
    }
}
