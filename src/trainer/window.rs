//! The accumulation window: micro-batches whose gradients make one optimizer step.

use tch::Tensor;

use super::{
    LossScale, LossScaling, Precision, Suppression, reduction::Reduction, scaling::LossScaler,
};
use crate::error::{self, Error, Result};
use crate::parameters::{TensorCopies, Variables};
use crate::step::{MicroBatch, Observation, StepOutcome};

/// The open accumulation window. It owns the only backward pass, the loss scale, and the copies of
/// buffers that undo a micro-batch that fails before backward, and a skipped window.
#[derive(Debug)]
pub(super) struct AccumulationWindow {
    /// Micro-batches in a full window.
    count: u64,
    /// Micro-batches so far.
    done: u64,
    suppression: Suppression,
    /// Averages complete gradients over the ranks of a group.
    reduction: Reduction,
    /// Some in fp16.
    scaler: Option<LossScaler>,
    /// Whether a step may be skipped, so that gradients are checked.
    undoable: bool,
    /// The buffers at the beginning of the micro-batch.
    buffers: Option<TensorCopies>,
    /// The buffers at the beginning of a window of several micro-batches that may be undone.
    window_buffers: Option<TensorCopies>,
    /// Whether a micro-batch has begun whose backward has not.
    in_forward: bool,
    /// What the optimizer has not done yet: `Some(true)` after a complete window, `Some(false)`
    /// after one that was undone.
    unapplied: Option<bool>,
}

impl AccumulationWindow {
    /// A window of `count` micro-batches. `skips`: whether the policy for non-finite values skips
    /// steps; `modulated`: whether the trainer has a modulation.
    ///
    /// # Errors
    /// [`Error::Config`] for a count of 0, for a loss scaling out of range, and for what multiplies the
    /// gradients of earlier micro-batches.
    pub(super) fn new(
        count: u64,
        suppression: Suppression,
        modulated: bool,
        precision: Precision,
        scaling: LossScaling,
        skips: bool,
    ) -> Result<Self> {
        let refuse = |found: &str, hint: &str| {
            let expected = "micro-batches whose gradients add up";
            Err(error::config(format!("accumulate({count})"), expected, found, hint))
        };
        match suppression {
            _ if count == 0 => {
                let expected = "at least 1 micro-batch per optimizer step";
                return Err(error::config("accumulate", expected, "0", "pass 1, or leave it out"));
            }
            Suppression::ZeroGradient(_) if count > 1 => {
                return refuse(
                    "`Suppression::ZeroGradient`, which multiplies the accumulated gradient by κ",
                    "use `Suppression::SkipBackward`, or do not accumulate",
                );
            }
            _ if count > 1 && modulated => {
                return refuse(
                    "a gradient modulation, which multiplies the accumulated gradient",
                    "leave the modulation out, or do not accumulate",
                );
            }
            _ => {}
        }
        let scaler = LossScaler::new(scaling)?;
        let scaler = (precision == Precision::Fp16).then_some(scaler);
        let undoable = skips || scaler.is_some();
        Ok(Self {
            count,
            done: 0,
            suppression,
            reduction: Reduction::default(),
            scaler,
            undoable,
            buffers: None,
            window_buffers: None,
            in_forward: false,
            unapplied: None,
        })
    }

    /// Makes `reduction` average complete gradients over the ranks.
    pub(super) fn reduced_by(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The position of the next micro-batch.
    pub(super) fn position(&self) -> MicroBatch {
        MicroBatch { index: self.done, count: self.count }
    }

    /// Begins a micro-batch and copies the buffers.
    pub(super) fn begin(&mut self, variables: &Variables) -> Result<MicroBatch> {
        if self.done == 0 && self.undoable && self.count > 1 {
            variables.copy_buffers(&mut self.window_buffers)?;
        }
        variables.copy_buffers(&mut self.buffers)?;
        (self.in_forward, self.unapplied) = (true, None);
        Ok(self.position())
    }

    /// Restores the buffers of the beginning of a micro-batch that failed before its backward. The
    /// gradients of one that failed after it are not to be applied.
    pub(super) fn revert(&mut self) -> Result<()> {
        let buffers = self.buffers.as_ref().filter(|_| self.in_forward);
        buffers.map_or(Ok(()), TensorCopies::restore)?;
        self.in_forward = false;
        self.unapplied = self.unapplied.map(|_| false);
        Ok(())
    }

    /// Runs backward and applies κ to the gradients; after the last micro-batch also makes the
    /// gradients final. Returns a device scalar that is not 0 where a final gradient is not finite;
    /// `None` where gradients are not checked or not final. Closes the window on an error.
    pub(super) fn backward(&mut self, step: &Observation<'_>) -> Result<Option<Tensor>> {
        self.in_forward = false;
        self.differentiate(step).map_err(|error| {
            self.close();
            self.reduction.break_off(error)
        })
    }

    /// Makes the gradients of an incomplete window final: their mean over the micro-batches so far.
    /// Returns the scalar of [`backward`](Self::backward); `None` outside if no window is open.
    pub(super) fn complete_early(
        &mut self,
        variables: &Variables,
    ) -> Result<Option<Option<Tensor>>> {
        if self.done == 0 {
            return Ok(None);
        }
        let factor = self.count as f64 / self.done as f64;
        self.done = self.count - 1; // what `advance` completes
        let flag = self.reduction.complete_early().and_then(|()| self.finalise(variables, factor));
        let flag = flag.map_err(|error| {
            self.close();
            self.reduction.break_off(error)
        });
        flag.map(Some)
    }

    /// Accepts the micro-batch whose backward has run.
    pub(super) fn advance(&mut self) -> StepOutcome {
        if self.position().is_last() {
            self.close();
            self.unapplied = Some(true);
            if let Some(scaler) = &mut self.scaler {
                scaler.grow();
            }
            StepOutcome::Ready
        } else {
            self.done += 1;
            StepOutcome::Accumulating
        }
    }

    /// Undoes the window: all gradients undefined, buffers as at its beginning.
    pub(super) fn undo(&mut self, variables: &Variables) -> Result<()> {
        self.close();
        self.unapplied = Some(false);
        variables.clear_gradients()?;
        let buffers = self.window_buffers.as_ref().or(self.buffers.as_ref());
        buffers.map_or(Ok(()), TensorCopies::restore)
    }

    /// Discards an open window and its gradients and returns its number of micro-batches.
    pub(super) fn discard(&mut self, variables: &Variables) -> Result<u64> {
        let done = self.done;
        if done > 0 {
            self.close();
            variables.clear_gradients()?;
        }
        Ok(done)
    }

    /// Whether the optimizer has to apply the gradients of a complete window (true), or to zero them
    /// after a window that was undone (false); `None` if it has nothing to do.
    pub(super) fn unapplied(&self) -> Option<bool> {
        self.unapplied
    }

    /// Notes that the optimizer has done what [`unapplied`](Self::unapplied) requires.
    pub(super) fn applied(&mut self) {
        self.unapplied = None;
    }

    /// Lowers the loss scale after gradients that are not finite. Returns the scale that overflowed;
    /// `None` outside fp16 and where the scale was down to 1 already, so that the loss scale is not the
    /// cause.
    pub(super) fn overflow(&mut self) -> Option<f64> {
        let scaler = self.scaler.as_mut()?;
        let scale = scaler.scale();
        scaler.back_off();
        (scale > 1.0).then_some(scale)
    }

    /// The loss scale; `None` outside fp16.
    pub(super) fn loss_scale(&self) -> Option<LossScale> {
        self.scaler.as_ref().map(LossScaler::state)
    }

    /// Restores the loss scale of a checkpoint.
    pub(super) fn restore_loss_scale(&mut self, state: Option<LossScale>) {
        if let (Some(scaler), Some(state)) = (&mut self.scaler, state) {
            scaler.restore(state);
        }
    }

    /// Refuses an open window, whose gradients no state holds.
    pub(super) fn expect_closed(&self, what: &str) -> Result<()> {
        if self.done == 0 {
            return Ok(());
        }
        Err(error::config(
            what,
            "no open accumulation window",
            format!("one of {} of {} micro-batches", self.done, self.count),
            "call it where the outcome is `Ready`, or after `finish_window` and an optimizer step",
        ))
    }

    fn differentiate(&mut self, step: &Observation<'_>) -> Result<Option<Tensor>> {
        let failed = |source| Error::torch("run backward", source);
        let total = &step.terms.total;
        let weight = step.combined.weight() * self.scale() / self.count as f64;
        let weighted = if weight == 1.0 {
            total.shallow_clone()
        } else {
            let weight = Tensor::from(weight).f_to_kind(total.kind()).map_err(failed)?;
            total.f_mul(&weight).map_err(failed)?
        };
        let variables = step.params.variables();
        let is_constant = |name: &str| {
            let owner = step.params.owner(name);
            let mut encoders = step.modalities().iter().zip(step.plan.kappa());
            encoders.any(|(m, &kappa)| Some(m) == owner && self.suppression.detaches(kappa))
        };
        let at = step.micro_batch;
        let weighted = self.reduction.prepare(weighted, variables, at, is_constant)?;
        weighted.f_backward().map_err(failed)?;
        self.reduction.finish(step.micro_batch)?;
        self.suppression.apply(step.plan, step.params, step.micro_batch)?;
        let last = self.position().is_last();
        if last { self.finalise(variables, 1.0) } else { Ok(None) }
    }

    /// Multiplies all gradients by `factor` and divides them by the loss scale, in one pass that also
    /// checks them.
    fn finalise(&mut self, variables: &Variables, factor: f64) -> Result<Option<Tensor>> {
        let factor = factor / self.scale();
        if factor == 1.0 && !self.undoable {
            return Ok(None);
        }
        Ok(variables.scale_gradients(factor)?.filter(|_| self.undoable))
    }

    fn scale(&self) -> f64 {
        self.scaler.as_ref().map_or(1.0, LossScaler::scale)
    }

    fn close(&mut self) {
        (self.done, self.in_forward) = (0, false);
    }
}
