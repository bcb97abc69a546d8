//! What recorders see of a step.

use tch::Tensor;

use super::StepRow;
use crate::error::Result;
use crate::modality::Modality;
use crate::optim::Optimizer;
use crate::step::StepReport;
use crate::transfer;

/// A step to record: its report, and what the caller adds. Nothing is read from the device before the row of
/// the step is made.
///
/// # Example
/// ```no_run
/// # use g2d::{optim::Optimizer, prelude::*, record::{Recorders, StepRecord}};
/// # fn train(
/// #     model: &dyn Student, trainer: &mut G2dTrainer, optimizer: &mut Optimizer, batch: &Batch,
/// #     recorders: &mut Recorders,
/// # ) -> g2d::Result<()> {
/// optimizer.zero_grad()?;
/// let report = trainer.step(model, batch)?;
/// let norm = optimizer.clip_grad_norm(1.0)?;
/// optimizer.step()?;
/// recorders.step(StepRecord::new(&report).optimizer(optimizer).gradient_norm(norm.as_ref()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a record is for `Recorders::step`"]
pub struct StepRecord<'a> {
    report: &'a StepReport,
    optimizer: Option<&'a Optimizer>,
    learning_rates: Vec<(String, f64)>,
    gradient_norm: Option<&'a Tensor>,
}

impl<'a> StepRecord<'a> {
    /// The record of a step with the loss, ρ and κ of its report.
    pub fn new(report: &'a StepReport) -> Self {
        Self { report, optimizer: None, learning_rates: Vec::new(), gradient_norm: None }
    }

    /// Adds the learning rates of `optimizer`, and the joint norm of the gradients of its parameters as they
    /// are when the row is made: record the step before `zero_grad`.
    pub fn optimizer(mut self, optimizer: &'a Optimizer) -> Self {
        self.optimizer = Some(optimizer);
        self
    }

    /// Adds a learning rate, for example of tch's optimizer; `group` is empty for the only one.
    pub fn learning_rate(mut self, group: impl Into<String>, lr: f64) -> Self {
        self.learning_rates.push((group.into(), lr));
        self
    }

    /// Sets the gradient norm, a scalar on any device, such as the norm before clipping that
    /// [`Optimizer::clip_grad_norm`] returns. `None` keeps that of the optimizer.
    pub fn gradient_norm(mut self, norm: impl Into<Option<&'a Tensor>>) -> Self {
        self.gradient_norm = norm.into().or(self.gradient_norm);
        self
    }

    /// The report of the step.
    pub fn report(&self) -> &'a StepReport {
        self.report
    }

    /// Reads the numbers of the step; synchronises with the device. Without `modalities` they are called by
    /// their indices.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if the device has failed.
    pub fn read(&self, modalities: &[Modality]) -> Result<StepRow> {
        let values = self.report.read()?;
        let k = values.kappa.len();
        let modalities = match modalities.len() == k {
            true => modalities.to_vec(),
            false => Modality::list((0..k).map(|m| m.to_string())),
        };
        let mut learning_rates = self.learning_rates.clone();
        if let Some(optimizer) = self.optimizer {
            learning_rates.extend(optimizer.lr().map(|(group, lr)| (group.to_owned(), lr)));
        }
        Ok(StepRow { modalities, values, learning_rates, gradient_norm: self.read_norm()? })
    }

    /// The gradient norm of a step that has made an update.
    fn read_norm(&self) -> Result<Option<f64>> {
        if !self.report.outcome.is_ready() {
            return Ok(None);
        }
        let own = match (self.gradient_norm, self.optimizer) {
            (Some(norm), _) => Some(norm.shallow_clone()),
            (None, Some(optimizer)) => optimizer.clip_grad_norm(f64::INFINITY)?, // changes no gradient
            (None, None) => None,
        };
        let Some(norm) = own else { return Ok(None) };
        Ok(transfer::read_scalars(&[norm])?.first().copied())
    }
}

impl<'a> From<&'a StepReport> for StepRecord<'a> {
    fn from(report: &'a StepReport) -> Self {
        Self::new(report)
    }
}
