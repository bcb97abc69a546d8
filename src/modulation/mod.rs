//! Changes of encoder gradients between backward and the optimizer.
//!
//! A [`SmpScheduler`](crate::SmpScheduler) decides before the student runs and receives only ρ. A
//! method that depends on the student's own output, such as OGM, implements [`Modulate`].

use crate::error::Result;
use crate::modality::Modality;
use crate::state::State;
use crate::step::Observation;

/// A rule that scales or perturbs encoder gradients, depending on the student's output.
///
/// # Contract
/// - `bind` is called once, before all other methods, and refuses a configuration that does not match
///   the modalities.
/// - `modulate` is called once per step whose gradients are complete: after backward and after the
///   plan's κ, before probes observe the step and before the caller's optimizer steps. It runs without
///   gradient.
/// - It changes gradients in place and nothing else: no parameter, no buffer, no global random state.
///   An undefined gradient, which
///   [`ModalityParams::gradients`](crate::ModalityParams::gradients) leaves out, stays undefined.
/// - It returns the factor on each encoder's gradient, in the student's order, or `None` if it changed
///   nothing. κ in the report is the plan's κ times this factor.
/// - It checks before it changes: after an error the gradients are as backward left them, and the
///   caller should not step the optimizer.
///
/// # Example
/// ```
/// use g2d::{Modality, Result, modulation::Modulate, step::Observation};
/// use tch::Tensor;
///
/// /// Halves the gradient of every encoder.
/// struct Half;
///
/// impl Modulate for Half {
///     fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
///         Ok(())
///     }
///     fn modulate(&mut self, step: &Observation<'_>) -> Result<Option<Vec<f64>>> {
///         for m in 0..step.modalities().len() {
///             for mut gradient in step.params.gradients(m) {
///                 let half = Tensor::from(0.5).to_kind(gradient.kind());
///                 let _ = gradient.f_mul_(&half)?;
///             }
///         }
///         Ok(Some(vec![0.5; step.modalities().len()]))
///     }
/// }
/// ```
pub trait Modulate {
    /// Checks the configuration against the modalities.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), which names the setting.
    fn bind(&mut self, modalities: &[Modality]) -> Result<()>;

    /// Returns whether it requires [`Observation::unimodal_logits`]. The first step then refuses a
    /// student without them, before backward. `false` by default.
    fn needs_unimodal_logits(&self) -> bool {
        false
    }

    /// Changes the gradients of one step and returns the factor on each encoder's, or `None` if it
    /// changed nothing.
    ///
    /// # Errors
    /// Any error of the method; `step` returns it. A factor that is not finite is an error, too.
    fn modulate(&mut self, step: &Observation<'_>) -> Result<Option<Vec<f64>>>;

    /// What [`restore`](Self::restore) needs to go on after a stop; nothing by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch) where reading it waits for a device that failed.
    fn state(&self) -> Result<State> {
        Ok(State::none())
    }

    /// Takes back what [`state`](Self::state) said, in a part of the same configuration and after `bind`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for the state of another part; nothing has changed
    /// then.
    fn restore(&mut self, state: &State) -> Result<()> {
        state.expect_none("a modulation that keeps none")
    }
}

const _: Option<&dyn Modulate> = None; // stays object-safe

impl<T: Modulate + ?Sized> Modulate for Box<T> {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        (**self).bind(modalities)
    }

    fn needs_unimodal_logits(&self) -> bool {
        (**self).needs_unimodal_logits()
    }

    fn modulate(&mut self, step: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        (**self).modulate(step)
    }

    fn state(&self) -> Result<State> {
        (**self).state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }
}
