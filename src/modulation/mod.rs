//! What may change the encoders' gradients between backward and the optimizer.
//!
//! A [`SmpScheduler`](crate::schedule::SmpScheduler) decides before the student runs and sees only ρ. Methods
//! that must see what the student made of the batch (OGM, say) come in here.

use crate::{error::Result, modality::Modality, state::State, step::Observation};

/// Scales or disturbs encoder gradients, from what the student itself said of the batch.
///
/// # Contract
/// - `bind` comes first, once, and refuses a configuration that does not fit the modalities.
/// - Then `modulate` once a step: after backward and after the plan's κ has acted, before probes
///   look and before the caller's optimizer steps. It is called without gradient.
/// - It changes gradients in place, and nothing else: no parameter, no buffer, no global random
///   state. A gradient that is undefined ([`ModalityParams::gradients`] leaves those out) stays so.
/// - It returns the factor that it put on each encoder's gradient, in the student's order, or `None`
///   where it left all as they are. The report's κ is the plan's κ times this factor.
/// - It checks before it changes: after an error the gradients of the step are as backward left
///   them, and the caller should not step the optimizer.
///
/// # Example
/// ```
/// use g2d::{Modality, Result, modulation::Modulate, step::Observation};
/// use tch::Tensor;
///
/// /// Halves every encoder's gradient and leaves fusion and heads alone.
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
    /// Takes the modalities, and checks the configuration against them.
    ///
    /// # Errors
    /// [`Error::Config`], naming the setting.
    fn bind(&mut self, modalities: &[Modality]) -> Result<()>;

    /// Does it ask for [`Observation::unimodal_logits`]? Then a student that has none is refused
    /// by the first step, before backward.
    fn needs_unimodal_logits(&self) -> bool {
        false
    }

    /// Changes the gradients of one step; the factor on each encoder's, or `None` for no change.
    ///
    /// # Errors
    /// Whatever keeps it from deciding; `step` passes it on.
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
