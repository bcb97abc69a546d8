//! One epoch of training and its validation.

use tch::{Device, Tensor};

use super::{TeacherEpoch, task::Task};
use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::optim::Optimizer;
use crate::teacher::UnimodalModel;
use crate::transfer;

/// A score of logits [N, C] and their targets; higher is better.
pub(super) type Score<'a> = dyn Fn(&Tensor, &Tensor) -> Result<f64> + 'a;

/// A model in training on a device.
pub(super) struct Run<'a> {
    pub task: &'a Task<'a>,
    pub model: &'a dyn UnimodalModel,
    pub device: Device,
}

/// The losses of steps, not read yet, and the number of samples of each.
#[derive(Default)]
pub(super) struct Losses {
    losses: Vec<Tensor>,
    samples: Vec<f64>,
}

impl Losses {
    fn push(&mut self, loss: &Tensor, batch: &Batch) {
        self.losses.push(loss.detach());
        self.samples.push(batch.size() as f64);
    }

    /// Mean of the losses' `values` over the samples.
    fn mean(&self, values: &[f64]) -> f64 {
        let sum: f64 = values.iter().zip(&self.samples).map(|(value, n)| value * n).sum();
        sum / self.samples.iter().sum::<f64>()
    }
}

impl Run<'_> {
    /// Trains for one epoch. Does not synchronise with a device.
    pub(super) fn train(
        &self,
        epoch: u64,
        optimizer: &mut Optimizer,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Losses> {
        let mut seen = Losses::default();
        for batch in batches {
            let Some(batch) = self.task.select(batch?, self.device)? else { continue };
            optimizer.zero_grad()?;
            let loss = self.task.forward(self.model, &batch, true)?.loss;
            if !loss.requires_grad() {
                return Err(error::config(
                    format!("model of {:?}", self.task.modality()),
                    "logits that depend on a parameter that learns",
                    "logits without gradient",
                    "unfreeze its VarStore, and train with gradients enabled",
                ));
            }
            if self.device == Device::Cpu {
                let value = transfer::read_on_host(&[loss.detach()])?[0];
                self.task.check_finite(epoch, seen.losses.len(), value)?;
            }
            loss.f_backward().map_err(|e| Error::torch("differentiate a teacher's loss", e))?;
            optimizer.step()?;
            seen.push(&loss, &batch);
        }
        if seen.losses.is_empty() {
            return Err(self.task.no_batch("training", epoch));
        }
        Ok(seen)
    }

    /// Validates the epoch whose training losses are `trained`. Reads all losses in one transfer.
    pub(super) fn validate(
        &self,
        epoch: u64,
        trained: &Losses,
        score: Option<&Score<'_>>,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<TeacherEpoch> {
        let _no_grad = tch::no_grad_guard();
        let mut seen = Losses::default();
        let (mut logits, mut targets) = (Vec::new(), Vec::new());
        for batch in batches {
            let Some(batch) = self.task.select(batch?, self.device)? else { continue };
            let forward = self.task.forward(self.model, &batch, false)?;
            seen.push(&forward.loss, &batch);
            if score.is_some() {
                logits.push(forward.logits);
                targets.push(batch.targets().shallow_clone());
            }
        }
        if seen.losses.is_empty() {
            return Err(self.task.no_batch("validation", epoch));
        }
        let all = trained.losses.iter().chain(&seen.losses).map(Tensor::shallow_clone);
        let values = transfer::read_scalars(&all.collect::<Vec<_>>())?;
        let (training, validation) = values.split_at(trained.losses.len());
        for (step, &loss) in training.iter().enumerate() {
            self.task.check_finite(epoch, step, loss)?;
        }
        let score = match score {
            None => -seen.mean(validation),
            Some(score) => score(&join_on_host(&logits)?, &join_on_host(&targets)?)?,
        };
        if score.is_nan() {
            let modality = self.task.modality();
            let what = format!("score of the teacher of {modality:?} in epoch {epoch}");
            let hint = "check the validation data: constant targets have no R², for example";
            return Err(error::non_finite(what, "a number", "NaN", hint));
        }
        Ok(TeacherEpoch { epoch, loss: trained.mean(training), score })
    }
}

fn join_on_host(parts: &[Tensor]) -> Result<Tensor> {
    let joined = Tensor::f_cat(parts, 0).and_then(|joined| joined.f_to_device(Device::Cpu));
    joined.map_err(|e| Error::torch("join a teacher's outputs", e))
}
