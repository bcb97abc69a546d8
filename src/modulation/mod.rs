//! What may change the encoders' gradients between backward and the optimizer.
//!
//! A [`SmpScheduler`](crate::SmpScheduler) decides before the student runs and sees only ρ. Methods
//! that must see what the student made of the batch (OGM, say) come in here.

use std::fmt;

use tch::Tensor;

use crate::{Error, Modality, ModalityParams, Plan, Progress, Result, Rows, State, Student, error};

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
/// use g2d::{GradientModulation, Modality, Result, SeenGradients};
/// use tch::Tensor;
///
/// /// Halves every encoder's gradient and leaves fusion and heads alone.
/// struct Half;
///
/// impl GradientModulation for Half {
///     fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
///         Ok(())
///     }
///     fn modulate(&mut self, seen: &SeenGradients<'_>) -> Result<Option<Vec<f64>>> {
///         for m in 0..seen.modalities.len() {
///             for mut gradient in seen.params.gradients(m) {
///                 let half = Tensor::from(0.5).to_kind(gradient.kind());
///                 let _ = gradient.f_mul_(&half)?;
///             }
///         }
///         Ok(Some(vec![0.5; seen.modalities.len()]))
///     }
/// }
/// ```
pub trait GradientModulation {
    /// Takes the modalities, and checks the configuration against them.
    ///
    /// # Errors
    /// [`Error::Config`], naming the setting.
    fn bind(&mut self, modalities: &[Modality]) -> Result<()>;

    /// Does it ask for [`SeenGradients::unimodal_logits`]? Then a student that has none is refused
    /// by the first step, before backward.
    fn needs_unimodal_logits(&self) -> bool {
        false
    }

    /// Changes the gradients of one step; the factor on each encoder's, or `None` for no change.
    ///
    /// # Errors
    /// Whatever keeps it from deciding; `step` passes it on.
    fn modulate(&mut self, seen: &SeenGradients<'_>) -> Result<Option<Vec<f64>>>;

    /// What [`restore`](Self::restore) needs to go on after a stop; nothing by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) where reading it waits for a device that failed.
    fn state(&self) -> Result<State> {
        Ok(State::none())
    }

    /// Takes back what [`state`](Self::state) said, in a part of the same configuration and after `bind`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another part; nothing has changed
    /// then.
    fn restore(&mut self, state: &State) -> Result<()> {
        state.expect_none("a modulation that keeps none")
    }
}

const _: Option<&dyn GradientModulation> = None; // stays object-safe

/// A step after its backward.
#[derive(Clone, Copy)]
pub struct SeenGradients<'a> {
    /// Where the step stands.
    pub at: Progress,
    /// The modalities, in the student's order.
    pub modalities: &'a [Modality],
    /// The plan, whose κ has acted already.
    pub plan: &'a Plan,
    /// The encoders' parameters with their gradients.
    pub params: &'a ModalityParams,
    /// The batch's targets.
    pub targets: &'a Tensor,
    /// The rows of the batch that have each modality.
    pub rows: &'a [Rows],
    /// The fused logits or predictions [B, C], detached.
    pub logits: &'a Tensor,
    pub(crate) student: &'a dyn Student,
    pub(crate) features: &'a [Tensor],
}

impl SeenGradients<'_> {
    /// What modality `m` alone would predict of this batch, [B, C], computed now, without gradient. It
    /// means something at `rows[m]` only.
    ///
    /// # Errors
    /// [`Error::Config`] if the student cannot say it.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn unimodal_logits(&self, m: usize) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        unimodal_logits(self.student, &self.modalities[m], m, self.features)
    }
}

/// The student's unimodal logits, or what to do about their absence.
pub(crate) fn unimodal_logits(
    student: &dyn Student,
    modality: &Modality,
    m: usize,
    features: &[Tensor],
) -> Result<Tensor> {
    student.unimodal_logits(m, features).ok_or_else(|| -> Error {
        error::config(
            "gradient modulation",
            format!("a student with unimodal logits of modality {modality:?}"),
            "a student that has none",
            "implement `Student::unimodal_logits`, or choose a fusion or a formula that has them",
        )
    })
}

impl fmt::Debug for SeenGradients<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenGradients")
            .field("at", &self.at)
            .field("modalities", &self.modalities)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
