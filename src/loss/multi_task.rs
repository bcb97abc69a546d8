//! Several tasks with a loss each.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    Distillation, G2dLoss, Input, TaskInput, TermWeights, Terms, WithTask,
    base::Base,
    compare::Compare,
    task::{Task, TaskLoss, TaskTargets, in_task},
    torch,
};
use crate::batch::Extras;
use crate::error::{self, Result};
use crate::modality::Modality;

/// Several tasks: named parts of the fused output with a loss each.
///
/// The tasks split the columns of the fused output [B, C], in their order: each has
/// [`width`](Task::width) columns. With the weights λ_t ([`Task::weight`]):
///
/// - L_S = Σ_t λ_t L_S^t.
/// - L_logit^m, L_head^m and L_ens are Σ_t λ_t times the term of the task's columns, so teachers and heads
///   have the same columns as the student.
/// - ρ^m is the mean of the tasks' ρ^m, over the tasks whose targets are in the batch's own
///   ([`TaskTargets::Batch`], [`TaskTargets::Columns`]); at least one task has those.
///
/// Targets of further tasks are extras of the batch ([`TaskTargets::Extra`]). A sample without a label of
/// one task has that task's [`ignore_index`](super::Classification::ignore_index), or 0 as its
/// [`sample_weight`](super::Regression::sample_weight). Distillation is set here, and not in the tasks' losses.
///
/// # Example
/// ```
/// use g2d::loss::{Classification, Distillation, MultiTask, Regression, Task, TaskTargets};
///
/// let loss = MultiTask::new([
///     Task::new("emotion", 6, Classification::default()),
///     Task::new("age", 1, Regression::default())
///         .targets(TaskTargets::Extra("age".into()))
///         .weight(0.5),
/// ])
/// .distillation(Distillation::balanced());
/// // Each batch: Batch::new(inputs, emotions).with_extra("age", ages)
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiTask {
    /// The tasks, in the order of their columns.
    pub tasks: Vec<Task>,
    /// The distillation terms of all tasks.
    #[serde(default)]
    pub distillation: Distillation,
}

impl MultiTask {
    /// Tasks, in the order of their columns, with the default distillation.
    pub fn new(tasks: impl Into<Vec<Task>>) -> Self {
        Self { tasks: tasks.into(), distillation: Distillation::default() }
    }

    /// Sets the distillation terms.
    pub fn distillation(self, distillation: Distillation) -> Self {
        Self { distillation, ..self }
    }

    /// This loss with the closure `task` as L_S.
    pub fn with_task(self, task: impl Fn(&TaskInput<'_>) -> Result<Tensor> + 'static) -> WithTask {
        WithTask::new(Box::new(self), task)
    }

    /// The columns of `name` [B, width] in logits or predictions [B, C] of all tasks, for example of an
    /// evaluation.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a task that does not exist,
    /// [`Error::Shape`](crate::Error::Shape) for logits of another width.
    pub fn output(&self, name: &str, logits: &Tensor) -> Result<Tensor> {
        self.check_width(&logits.size())?;
        let found = self.columns().find(|(task, _)| task.name == name);
        let Some((task, first)) = found else {
            let names: Vec<_> = self.tasks.iter().map(|task| &task.name).collect();
            let (expected, found) = (format!("one of {names:?}"), format!("{name:?}"));
            return Err(error::config("task", expected, found, "use the name of a task"));
        };
        logits.f_narrow(1, first, task.width).map_err(torch)
    }

    /// The tasks and their first columns.
    fn columns(&self) -> impl Iterator<Item = (&Task, i64)> {
        self.tasks.iter().scan(0, |next, task| {
            let first = *next;
            *next += task.width;
            Some((task, first))
        })
    }

    fn check_width(&self, logits: &[i64]) -> Result<()> {
        let width: i64 = self.tasks.iter().map(|task| task.width).sum();
        if logits.len() == 2 && logits[1] == width {
            return Ok(());
        }
        let expected = format!("[B, {width}], the columns of all tasks");
        let hint =
            "make the widths of the tasks add up to that of the student's and teachers' output";
        Err(error::wrong_shape("logits", expected, logits, hint))
    }

    /// Σ_t λ_t of `term`, which receives the columns of each tensor [B, C].
    fn sum<const N: usize>(
        &self,
        tensors: [&Tensor; N],
        term: impl Fn(&Task, [Tensor; N]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (task, first) in self.columns().filter(|(task, _)| task.weight > 0.0) {
            let columns = |tensor: &Tensor| tensor.narrow(1, first, task.width);
            let term = term(task, tensors.map(columns)).map_err(|e| in_task(e, &task.name))?;
            let term = term * task.weight;
            sum = Some(match sum {
                None => term,
                Some(sum) => sum.f_add(&term).map_err(torch)?,
            });
        }
        // Without a task that has a weight, which `check` refuses.
        Ok(sum.unwrap_or_else(|| tensors[0].sum(None::<Kind>) * 0.0))
    }
}

impl Compare for MultiTask {
    fn task(&self, input: &TaskInput<'_>) -> Result<Tensor> {
        self.check_width(&input.logits.size())?;
        self.sum([input.logits], |task, [logits]| {
            let loss = task.loss.base();
            let targets = match &task.targets {
                TaskTargets::Extra(name) => {
                    let targets = input.extra(name)?.shallow_clone();
                    loss.check_targets(&logits.size(), &targets)?;
                    Some(targets)
                }
                _ => task.own_targets(input.targets)?,
            };
            let targets = targets.as_ref().unwrap_or(input.targets);
            loss.task(&TaskInput { logits: &logits, targets, extras: input.extras })
        })
    }

    fn divergence(&self, teacher: &Tensor, student: &Tensor, temperature: f64) -> Result<Tensor> {
        self.sum([teacher, student], |task, [teacher, student]| {
            task.loss.base().divergence(&teacher, &student, temperature)
        })
    }
}

impl Base for MultiTask {
    fn distillation(&self) -> &Distillation {
        &self.distillation
    }
}

impl G2dLoss for MultiTask {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        for (t, task) in self.tasks.iter().enumerate() {
            task.check(modalities).map_err(|error| in_task(error, &task.name))?;
            if self.tasks[..t].iter().any(|other| other.name == task.name) {
                let found = format!("{:?} twice", task.name);
                let hint = "give every task its own name";
                return Err(error::config("names of the tasks", "distinct names", found, hint));
            }
        }
        if self.tasks.iter().all(|task| task.weight == 0.0) {
            let hint = "add a task";
            return Err(error::config("tasks", "at least one with a weight", "none", hint));
        }
        if self.tasks.iter().all(|task| matches!(task.targets, TaskTargets::Extra(_))) {
            let expected = "at least one whose targets are the batch's own, for ρ";
            let hint = "pass the targets of one task as those of the batch";
            return Err(error::config("tasks", expected, "extras alone", hint));
        }
        let values = |task: &&Task| matches!(task.loss, TaskLoss::Regression(_));
        if let (Some(task), Some(_)) = (self.tasks.iter().find(values), &self.distillation.ensemble)
        {
            let what = "ensemble term of several tasks";
            let (expected, found) =
                ("tasks with classes", format!("the regression {:?}", task.name));
            let hint = "leave the term out: the calibrated ensemble is defined for classes";
            return Err(error::config(what, expected, found, hint));
        }
        self.distillation.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        self.check_width(logits)?;
        self.tasks.iter().try_for_each(|task| {
            let check = || match task.own_targets(targets)? {
                None => Ok(()),
                Some(own) => task.loss.base().check_targets(&[logits[0], task.width], &own),
            };
            check().map_err(|error| in_task(error, &task.name))
        })
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        self.distillation.terms(input, self)
    }

    fn term_weights(&self, k: usize) -> Option<TermWeights> {
        Some(self.distillation.term_weights(k))
    }

    fn task_weight(&self, targets: &Tensor, extras: &Extras) -> Result<Option<Tensor>> {
        for task in self.tasks.iter().filter(|task| task.weight > 0.0) {
            let own = match &task.targets {
                TaskTargets::Extra(name) => Some(extras.get(name)?.shallow_clone()),
                _ => task.own_targets(targets)?,
            };
            let own = own.as_ref().unwrap_or(targets);
            if task.loss.base().task_weight(own, extras)?.is_some() {
                let expected = "means over the samples, which ranks can combine";
                let hint = "leave out weights of samples and classes and labels to ignore, or use one rank";
                let what = format!("loss of task {:?} on several ranks", task.name);
                return Err(error::config(what, expected, "a weighted mean", hint));
            }
        }
        Ok(None)
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.distillation.needs_unimodal_logits()
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let mut rho = Vec::with_capacity(self.tasks.len());
        for (task, first) in self.columns() {
            if let Some(own) = task.own_targets(targets)? {
                let logits = logits.f_narrow(1, first, task.width).map_err(torch)?;
                rho.push(task.loss.base().confidence(&logits, &own)?);
            }
        }
        Tensor::f_stack(&rho, 0).and_then(|rho| rho.f_mean(None::<Kind>)).map_err(torch)
    }
}
