//! A loss whose task term is a closure.

use std::fmt;

use tch::Tensor;

use super::{
    Distillation, G2dLoss, Input, Labels, TaskInput, TermWeights, Terms, base::Base,
    compare::Compare,
};
use crate::error::Result;
use crate::modality::Modality;

/// A [`Classification`](super::Classification), [`Regression`](super::Regression) or
/// [`MultiTask`](super::MultiTask) with a closure as L_S: `with_task` of one of them.
///
/// The closure returns a scalar connected to the graph of the logits. It is also the task term of heads
/// under [`HeadTarget::Labels`](super::HeadTarget::Labels). The other terms, their weights, the check of
/// the targets and ρ are those of the loss that it was made from, whose own task term is not computed:
/// [`with_check`](Self::with_check) and [`Builder::confidence`](crate::trainer::Builder::confidence)
/// replace the check and ρ for targets of another form.
///
/// # Example
/// ```
/// use g2d::loss::{Classification, Distillation};
///
/// // Cross-entropy of logits that are adjusted by the classes' prior probabilities.
/// let prior = tch::Tensor::from_slice(&[0.9_f32, 0.1]).log();
/// let loss = Classification::new(Distillation::default()).with_task(move |task| {
///     let log_p = task.logits.f_add(&prior)?.f_log_softmax(1, None)?;
///     let own = log_p.f_gather(1, &task.targets.f_unsqueeze(1)?, false)?;
///     Ok(own.f_mean(None)?.f_neg()?)
/// });
/// ```
pub struct WithTask {
    base: Box<dyn Base>,
    task: Box<TaskFn>,
    check: Option<Box<CheckFn>>,
}

type TaskFn = dyn Fn(&TaskInput<'_>) -> Result<Tensor>;
type CheckFn = dyn Fn(&[i64], &Tensor) -> Result<()>;

impl WithTask {
    pub(super) fn new(
        base: Box<dyn Base>,
        task: impl Fn(&TaskInput<'_>) -> Result<Tensor> + 'static,
    ) -> Self {
        Self { base, task: Box::new(task), check: None }
    }

    /// Replaces the check of the targets against the shape [B, C] of the logits, as
    /// [`G2dLoss::check_targets`].
    pub fn with_check(self, check: impl Fn(&[i64], &Tensor) -> Result<()> + 'static) -> Self {
        Self { check: Some(Box::new(check)), ..self }
    }
}

impl Compare for WithTask {
    fn task(&self, input: &TaskInput<'_>) -> Result<Tensor> {
        (self.task)(input)
    }

    fn divergence(&self, teacher: &Tensor, student: &Tensor, temperature: f64) -> Result<Tensor> {
        self.base.divergence(teacher, student, temperature)
    }
}

impl G2dLoss for WithTask {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.base.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        match &self.check {
            Some(check) => check(logits, targets),
            None => self.base.check_targets(logits, targets),
        }
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        self.distillation().terms(input, self)
    }

    fn term_weights(&self, k: usize) -> Option<TermWeights> {
        self.base.term_weights(k)
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.base.needs_unimodal_logits()
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.base.confidence(logits, targets)
    }

    fn labels(&self) -> Option<Labels> {
        if self.check.is_some() { None } else { self.base.labels() }
    }

    fn ignore_index(&self) -> Option<i64> {
        self.base.ignore_index()
    }
}

impl WithTask {
    fn distillation(&self) -> &Distillation {
        self.base.distillation()
    }
}

impl fmt::Debug for WithTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTask")
            .field("distillation", self.distillation())
            .finish_non_exhaustive()
    }
}
