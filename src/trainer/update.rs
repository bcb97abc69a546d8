//! The updates of the parameters by the caller's optimizer.

use super::step::G2dTrainer;
use crate::error::Result;
use crate::optim::ApplyGradients;
use crate::step::Update;

impl G2dTrainer {
    /// Does what the outcome of the last [`step`](Self::step) requires of the optimizer:
    ///
    /// - `Ready`: clips the gradients by [`Builder::clip_norm`](super::Builder::clip_norm), if that
    ///   is set, steps the optimizer, and zeroes the gradients. Returns the update.
    /// - `Skipped`: zeroes the gradients.
    /// - `Accumulating`: nothing.
    ///
    /// So does it after [`finish_window`](Self::finish_window), and a second call for the same
    /// outcome does nothing. Gradients of the trainer's parameters that the optimizer does not have
    /// are zeroed, too. Programs that step their optimizer themselves need not call it.
    ///
    /// # Errors
    /// Any error of the optimizer; [`Error::Torch`](crate::Error::Torch). The gradients are unchanged
    /// if the optimizer has made no step.
    ///
    /// # Example
    /// ```no_run
    /// # use g2d::{Batch, G2dTrainer, Student, optim::{LrSchedule, Optimizer}};
    /// # fn epoch(
    /// #     trainer: &mut G2dTrainer, student: &dyn Student, optimizer: &mut Optimizer,
    /// #     schedule: LrSchedule, batches: Vec<Batch>,
    /// # ) -> g2d::Result<()> {
    /// for batch in &batches {
    ///     optimizer.set_lr_factor(schedule.factor(trainer.progress().updates))?;
    ///     trainer.step(student, batch)?;
    ///     trainer.update(optimizer)?;
    /// }
    /// trainer.finish_update(optimizer)?; // the last window, if the epoch ends inside one
    /// trainer.end_epoch()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn update(&mut self, optimizer: &mut impl ApplyGradients) -> Result<Option<Update>> {
        self.updater.update(&mut self.window, self.params.variables(), optimizer)
    }

    /// Completes an open accumulation window and updates the parameters by it:
    /// [`finish_window`](Self::finish_window), then [`update`](Self::update). Call it before
    /// [`end_epoch`](Self::end_epoch), which discards an open window. Without accumulation it does
    /// what `update` does.
    ///
    /// # Errors
    /// As `finish_window` and `update`.
    pub fn finish_update(&mut self, optimizer: &mut impl ApplyGradients) -> Result<Option<Update>> {
        self.finish_window()?;
        self.update(optimizer)
    }
}
