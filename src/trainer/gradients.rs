//! From a loss to the gradients of a window, or to a skipped step.

use tch::Tensor;

use super::{
    agreed,
    finite::{Checked, FiniteGuard},
    observers::Observers,
    window::AccumulationWindow,
};
use crate::error::{self, Result};
use crate::parameters::ModalityParams;
use crate::schedule::Progress;
use crate::step::{Observation, SkipCause, StepOutcome};

/// Runs backward, applies κ, and decides what the optimizer may do. A step whose loss is known not to
/// be finite is skipped before its backward.
pub(super) fn compute(
    step: &Observation<'_>,
    window: &mut AccumulationWindow,
    guard: &mut FiniteGuard,
    observers: &mut Observers,
) -> Result<StepOutcome> {
    if let Some(source) = agreed::source(step, guard.check_loss(step))? {
        return skip(SkipCause::NonFinite(source), step.at, step.params, window, guard);
    }
    observers.before_backward(step).map_err(|error| step.ranks.close_after(error))?;
    let flag = window.backward(step)?;
    if let Err(error) = check_reached(step) {
        window.undo(step.params.variables())?;
        return Err(error);
    }
    conclude(Some(step), flag, step.at, step.params, window, guard)
}

/// Refuses a backward pass that has reached no parameter of the trainer, though an encoder should learn.
fn check_reached(step: &Observation<'_>) -> Result<()> {
    let learns = |m: &usize| {
        let encoder = step.params.encoder(*m);
        step.plan.kappa()[*m] > 0.0
            && !step.rows[*m].is_missing()
            && encoder.iter().any(|(_, tensor)| tensor.requires_grad())
    };
    let mut learning = (0..step.modalities().len()).filter(learns).peekable();
    let has_gradient = |m| step.params.gradients(m).next().is_some();
    if learning.peek().is_none()
        || learning.any(has_gradient)
        || step.params.variables().has_gradient()
    {
        return Ok(());
    }
    Err(error::config(
        "student given to `step`",
        "a student whose parameters were given to `Builder::encoders`",
        "a loss that depends on none of them",
        "pass the student whose `VarStore` the trainer's `ModalityParams` were made from; add the \
         stores of its other layers by `ModalityParams::with_store`",
    ))
}

/// Accepts the micro-batch whose backward has run, or undoes its window where the guard finds a value
/// that is not finite: in the forward pass of `step`, or in the gradients by `flag`.
pub(super) fn conclude(
    step: Option<&Observation<'_>>,
    flag: Option<Tensor>,
    at: Progress,
    params: &ModalityParams,
    window: &mut AccumulationWindow,
    guard: &mut FiniteGuard,
) -> Result<StepOutcome> {
    let checked = guard.check_gradients(step, flag);
    let checked = match step {
        Some(step) if guard.checks_after_backward(step) => agreed::checked(step, checked),
        _ => checked, // of gradients alone, which are the same on all ranks
    };
    let cause = checked.and_then(|checked| match checked {
        Checked::Finite => Ok(None),
        Checked::Loss(source) => Ok(Some(SkipCause::NonFinite(source))),
        Checked::Gradients => match window.overflow() {
            Some(scale) => Ok(Some(SkipCause::Overflow { scale })),
            None => guard.gradient_cause(at, params).map(Some),
        },
    });
    match cause {
        Ok(None) => {
            let outcome = window.advance();
            if outcome.is_ready() {
                guard.count_completed();
            }
            Ok(outcome)
        }
        Ok(Some(cause)) => skip(cause, at, params, window, guard),
        Err(error) => {
            window.undo(params.variables())?;
            Err(error)
        }
    }
}

/// Undoes the window of a step that is skipped, and counts the step.
pub(super) fn skip(
    cause: SkipCause,
    at: Progress,
    params: &ModalityParams,
    window: &mut AccumulationWindow,
    guard: &mut FiniteGuard,
) -> Result<StepOutcome> {
    window.undo(params.variables())?;
    guard.count_skipped(at, &cause)?;
    Ok(StepOutcome::Skipped(cause))
}
