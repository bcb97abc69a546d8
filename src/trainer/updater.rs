//! Gradients clipped and applied by an optimizer.

use super::window::AccumulationWindow;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::parameters::Variables;
use crate::step::Update;

/// Clips and applies complete gradients. It owns the largest norm.
#[derive(Debug)]
pub(super) struct Updater {
    clip_norm: Option<f64>,
}

impl Updater {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a norm that is not above 0.
    pub(super) fn new(clip_norm: Option<f64>) -> Result<Self> {
        match clip_norm {
            Some(norm) if norm.is_nan() || norm <= 0.0 => {
                Err(error::out_of_range("clip_norm", "above 0", norm))
            }
            _ => Ok(Self { clip_norm }),
        }
    }

    /// Does what the last outcome of `window` requires: [`G2dTrainer::update`](crate::G2dTrainer::update).
    pub(super) fn update(
        &self,
        window: &mut AccumulationWindow,
        variables: &Variables,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<Option<Update>> {
        let Some(complete) = window.unapplied() else { return Ok(None) };
        let mut update = None;
        if complete {
            let clip = |norm| variables.clip_gradients(norm);
            let gradient_norm = self.clip_norm.map_or(Ok(None), clip)?;
            optimizer.apply_gradients()?;
            update = Some(Update { gradient_norm });
        }
        window.applied();
        optimizer.clear_gradients()?;
        variables.clear_gradients().map(|()| update)
    }
}
