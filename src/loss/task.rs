//! A task of several: its columns, its targets and its loss.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Classification, Distillation, Labels, Regression, base::Base, torch};
use crate::error::{self, Error, Result};
use crate::modality::Modality;

/// A task of [`MultiTask`](super::MultiTask).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The name, in messages and for
    /// [`MultiTask::output`](super::MultiTask::output).
    pub name: String,
    /// Number of columns of the fused output.
    pub width: i64,
    /// The loss, without distillation.
    pub loss: TaskLoss,
    /// Where the targets are; by default the batch's own.
    #[serde(default)]
    pub targets: TaskTargets,
    /// Weight λ of the task; default 1.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// The loss of a [`Task`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskLoss {
    /// Class labels.
    Classification(Classification),
    /// Values.
    Regression(Regression),
}

/// Where the targets of a [`Task`] are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskTargets {
    /// The batch's targets.
    #[default]
    Batch,
    /// The columns `first..end` of the batch's targets [B, D]: \[B\] for [`Labels::Single`], which has one
    /// column, else [B, end − first].
    Columns(i64, i64),
    /// The batch's extra of this name ([`Batch::with_extra`](crate::Batch::with_extra)), in the form that
    /// the loss requires. It is checked together with the loss.
    Extra(String),
}

impl From<Classification> for TaskLoss {
    fn from(loss: Classification) -> Self {
        Self::Classification(loss)
    }
}

impl From<Regression> for TaskLoss {
    fn from(loss: Regression) -> Self {
        Self::Regression(loss)
    }
}

impl TaskLoss {
    pub(super) fn base(&self) -> &dyn Base {
        match self {
            Self::Classification(loss) => loss,
            Self::Regression(loss) => loss,
        }
    }
}

impl Task {
    /// A task of `width` columns, with the batch's targets and weight 1.
    pub fn new(name: impl Into<String>, width: i64, loss: impl Into<TaskLoss>) -> Self {
        let (name, loss) = (name.into(), loss.into());
        Self { name, width, loss, targets: TaskTargets::Batch, weight: 1.0 }
    }

    /// Sets where the targets are.
    pub fn targets(self, targets: TaskTargets) -> Self {
        Self { targets, ..self }
    }

    /// Sets the weight λ.
    pub fn weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    pub(super) fn check(&self, modalities: &[Modality]) -> Result<()> {
        if self.width < 1 {
            return Err(error::out_of_range("width", "at least 1 column", self.width));
        }
        if !(self.weight.is_finite() && self.weight >= 0.0) {
            return Err(error::out_of_range("weight", "a finite weight ≥ 0", self.weight));
        }
        if *self.loss.base().distillation() != Distillation::default() {
            let hint = "set `MultiTask::distillation`, which covers all tasks";
            return Err(error::config("distillation", "the default", "another one", hint));
        }
        if let TaskTargets::Columns(first, end) = self.targets
            && !(0 <= first && first < end)
        {
            let found = format!("{first}..{end}");
            return Err(error::out_of_range("columns of the targets", "a range from 0", found));
        }
        self.loss.base().check(modalities)
    }

    /// This task's targets in the batch's own; `None` for an extra.
    pub(super) fn own_targets(&self, targets: &Tensor) -> Result<Option<Tensor>> {
        let (first, end) = match self.targets {
            TaskTargets::Extra(_) => return Ok(None),
            TaskTargets::Batch => return Ok(Some(targets.shallow_clone())),
            TaskTargets::Columns(first, end) => (first, end),
        };
        let size = targets.size();
        if size.len() != 2 || size[1] < end {
            let expected = format!("[B, D] with D of at least {end}");
            let hint = "pass the targets of all such tasks as the columns of one tensor";
            return Err(error::wrong_shape("targets", expected, &size, hint));
        }
        let columns = targets.f_narrow(1, first, end - first).map_err(torch)?;
        let is_single = self.loss.base().labels() == Some(Labels::Single);
        Ok(Some(match is_single && end - first == 1 {
            true => columns.f_squeeze_dim(1).map_err(torch)?,
            false => columns,
        }))
    }
}

/// Names the task in an error about one of its values.
pub(super) fn in_task(mut error: Error, task: &str) -> Error {
    if let Error::Config(mismatch)
    | Error::Shape(mismatch)
    | Error::Kind(mismatch)
    | Error::Target(mismatch) = &mut error
    {
        mismatch.what = format!("{} of task {task:?}", mismatch.what);
    }
    error
}
