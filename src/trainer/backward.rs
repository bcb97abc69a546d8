//! The only backward, and what becomes of the gradients that it leaves.

use tch::Tensor;

use super::finite::{Evidence, bad_gradient_error};
use super::{G2dTrainer, NonFinite, Precision, Skipped, StepOutcome, Window};
use crate::{Error, Plan, Result, variables::Copies};

impl G2dTrainer {
    /// Backward of one micro-batch, after which the plan's κ acts; at the window's end the gradients
    /// are made ready for the optimizer.
    pub(super) fn learn(&mut self, step: &Evidence<'_>, plan: &Plan) -> Result<StepOutcome> {
        let window = self.accumulation.window();
        // Whatever fails from here on leaves no half window behind.
        let before = self.accumulation.reset();
        self.weighted(&step.terms.total, window)
            .and_then(|total| total.f_backward())
            .map_err(|source| Error::torch("run backward", source))?;
        self.suppression.settle(plan, &self.params, window)?;
        let found = if window.is_last() { self.unscale(1.0)? } else { None };
        self.settle(window, found, Some(step), before)
    }

    /// What is differentiated: the loss, divided by the window's length and multiplied by the scale.
    fn weighted(
        &self,
        total: &Tensor,
        window: Window,
    ) -> std::result::Result<Tensor, tch::TchError> {
        let weight = self.scale() / window.length as f64;
        if weight == 1.0 {
            return Ok(total.shallow_clone());
        }
        total.f_mul(&Tensor::from(weight).f_to_kind(total.kind())?)
    }

    /// Takes the loss scale out of all gradients and multiplies them by `factor`. The answer is a
    /// device scalar, other than 0 where a number among them was not finite; `None` where nobody asks.
    pub(super) fn unscale(&self, factor: f64) -> Result<Option<Tensor>> {
        let factor = factor / self.scale();
        let found = if factor != 1.0 || self.may_skip() {
            self.params.variables().scale_gradients(factor)?
        } else {
            None
        };
        Ok(found.filter(|_| self.may_skip()))
    }

    /// Ends a micro-batch after its backward, and with the last one its window.
    pub(super) fn settle(
        &mut self,
        window: Window,
        found: Option<Tensor>,
        step: Option<&Evidence<'_>>,
        before: Option<Copies>,
    ) -> Result<StepOutcome> {
        match self.judge(found, step) {
            Ok(None) if window.is_last() => {
                self.skipped_in_a_row = 0;
                if self.precision == Precision::Fp16 {
                    self.loss_scale.hold(self.loss_scaling);
                }
                Ok(StepOutcome::Ready)
            }
            Ok(None) => {
                self.accumulation.advance(window, before);
                Ok(StepOutcome::Accumulating)
            }
            Ok(Some(why)) => self.skip(why, before),
            Err(error) => {
                self.undo(before)?;
                Err(error)
            }
        }
    }

    /// Reads what is in doubt in one transfer: why to skip the step, if there is a reason.
    fn judge(
        &mut self,
        found: Option<Tensor>,
        step: Option<&Evidence<'_>>,
    ) -> Result<Option<Skipped>> {
        let mut scalars = step.map_or_else(Vec::new, |step| self.doubts(step));
        let doubts = scalars.len();
        scalars.extend(found);
        if scalars.is_empty() {
            return Ok(None);
        }
        let values = self.read_unread(&scalars)?;
        let (losses, gradients) = values.split_at(doubts);
        if let Some(step) = step
            && losses.iter().any(|value| !value.is_finite())
        {
            return Ok(Some(Skipped::NonFinite(self.first_source(step)?)));
        }
        if gradients.iter().all(|&found| found == 0.0) {
            return Ok(None);
        }
        if self.precision == Precision::Fp16 {
            let scale = self.loss_scale.scale;
            self.loss_scale.back_off(self.loss_scaling);
            if scale > 1.0 {
                return Ok(Some(Skipped::Overflow { scale }));
            }
        }
        let source = self.bad_gradient()?;
        match self.non_finite {
            NonFinite::Error => Err(bad_gradient_error(self.progress, &source)),
            NonFinite::Skip | NonFinite::StopAfter(_) => Ok(Some(Skipped::NonFinite(source))),
        }
    }

    /// By what the loss is multiplied.
    fn scale(&self) -> f64 {
        if self.precision == Precision::Fp16 { self.loss_scale.scale } else { 1.0 }
    }
}
