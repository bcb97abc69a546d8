//! The loop over epochs.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor, nn::VarStore};

use super::{KeepWeights, UnimodalTrainer};
use crate::{
    batch::Batch,
    error::{self, Error, Result},
    number,
    optim::Optimizer,
    teacher::UnimodalModel,
    transfer,
    weights::BestEpoch,
};

/// One epoch of a teacher's training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TeacherEpoch {
    /// Counted from 0.
    pub epoch: u64,
    /// Mean L_S over the training samples.
    #[serde(with = "number")]
    pub loss: f64,
    /// On validation data; higher is better.
    #[serde(with = "number")]
    pub score: f64,
}

/// How a teacher's training went. The weights are in the `VarStore`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedTeacher {
    /// What was trained, in order.
    pub epochs: Vec<TeacherEpoch>,
    /// The epoch whose weights were kept.
    pub kept: u64,
    /// Its score.
    #[serde(with = "number")]
    pub score: f64,
    /// Did patience end before the epochs?
    pub stopped_early: bool,
}

/// The losses of steps, not read yet, and the samples of each.
#[derive(Default)]
struct Losses {
    losses: Vec<Tensor>,
    samples: Vec<f64>,
}

impl UnimodalTrainer<'_> {
    /// Trains `model`, whose parameters are in `vs` and nowhere else; `train(epoch)` gives the training
    /// batches of an epoch counted from 0, `val()` the validation batches. All lie on the device of
    /// `vs`.
    ///
    /// # Errors
    /// [`Error::Config`] without an epoch, a batch, or a parameter that learns, for a modality that the
    /// batches do not have, and for numbers of the rule out of range;
    /// [`Error::Shape`], [`Error::Kind`], [`Error::Device`] or [`Error::Target`] for batches and
    /// answers that do not fit; [`Error::NonFinite`] for a loss that is not, with epoch and step, and
    /// for a score that is NaN; any error of a batch, of the model or of the score.
    pub fn train<T, V>(
        mut self,
        model: &dyn UnimodalModel,
        vs: &VarStore,
        mut train: impl FnMut(u64) -> T,
        mut val: impl FnMut() -> V,
    ) -> Result<TrainedTeacher>
    where
        T: IntoIterator<Item = Result<Batch>>,
        V: IntoIterator<Item = Result<Batch>>,
    {
        if self.epochs == 0 || self.patience == Some(0) {
            let what = format!("epochs and patience for {:?}", self.modality);
            let found = format!("{} and {:?}", self.epochs, self.patience);
            return Err(error::config(what, "at least 1", found, "1 is one epoch"));
        }
        let mut optimizer = Optimizer::builder(vs, self.rule).build()?;
        let mut weights = BestEpoch::default();
        let (mut best, mut best_epoch) = (f64::NEG_INFINITY, 0);
        let mut epochs: Vec<TeacherEpoch> = Vec::new();
        for epoch in 0..self.epochs {
            optimizer.set_lr_factor(self.schedule.factor(epoch));
            let losses = self.learn(model, vs.device(), &mut optimizer, epoch, train(epoch))?;
            let report = self.judge(model, vs.device(), epoch, &losses, val())?;
            if report.score > best {
                (best, best_epoch) = (report.score, epoch);
            }
            if self.keep == KeepWeights::Best {
                weights.keep(report.score, vs)?;
            }
            if let Some(watch) = &mut self.watch {
                watch(&report);
            }
            epochs.push(report);
            if self.patience.is_some_and(|patience| epoch - best_epoch >= patience) {
                break;
            }
        }
        let kept = match self.keep {
            KeepWeights::Best => {
                weights.restore()?;
                best_epoch
            }
            KeepWeights::Last => epochs.len() as u64 - 1,
        };
        let stopped_early = (epochs.len() as u64) < self.epochs;
        Ok(TrainedTeacher { score: epochs[kept as usize].score, kept, stopped_early, epochs })
    }

    /// One epoch of training.
    fn learn(
        &self,
        model: &dyn UnimodalModel,
        device: Device,
        optimizer: &mut Optimizer,
        epoch: u64,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Losses> {
        let mut seen = Losses::default();
        for batch in batches {
            let Some(batch) = self.own(batch?, device)? else { continue };
            optimizer.zero_grad()?;
            let loss = self.answer(model, &batch, true)?.loss;
            if !loss.requires_grad() {
                return Err(error::config(
                    format!("model of {:?}", self.modality),
                    "logits that depend on a parameter that learns",
                    "none that do",
                    "unfreeze its VarStore, and train with gradients on",
                ));
            }
            if device == Device::Cpu {
                let value = transfer::read_on_host(&[loss.detach()])?[0];
                self.finite(epoch, seen.losses.len(), value)?;
            }
            loss.f_backward().map_err(|e| Error::torch("differentiate a teacher's loss", e))?;
            optimizer.step()?;
            seen.losses.push(loss.detach());
            seen.samples.push(batch.size() as f64);
        }
        if seen.losses.is_empty() {
            return Err(self.no_batch("training", epoch));
        }
        Ok(seen)
    }

    /// Validates, and reads the epoch's losses: here the device is waited for.
    fn judge(
        &self,
        model: &dyn UnimodalModel,
        device: Device,
        epoch: u64,
        trained: &Losses,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<TeacherEpoch> {
        let _no_grad = tch::no_grad_guard();
        let mut seen = Losses::default();
        let (mut logits, mut targets) = (Vec::new(), Vec::new());
        for batch in batches {
            let Some(batch) = self.own(batch?, device)? else { continue };
            let answer = self.answer(model, &batch, false)?;
            seen.losses.push(answer.loss);
            seen.samples.push(batch.size() as f64);
            if self.score.is_some() {
                logits.push(answer.logits);
                targets.push(batch.targets().shallow_clone());
            }
        }
        if seen.losses.is_empty() {
            return Err(self.no_batch("validation", epoch));
        }
        let all: Vec<Tensor> =
            trained.losses.iter().chain(&seen.losses).map(Tensor::shallow_clone).collect();
        let values = transfer::read_scalars(&all)?;
        let (own, validated) = values.split_at(trained.losses.len());
        own.iter().enumerate().try_for_each(|(step, &loss)| self.finite(epoch, step, loss))?;
        let score = match &self.score {
            None => -mean(validated, &seen.samples),
            Some(score) => {
                let joined = |parts: &[Tensor]| {
                    let joined = Tensor::f_cat(parts, 0).and_then(|t| t.f_to_device(Device::Cpu));
                    joined.map_err(|e| Error::torch("join a teacher's answers", e))
                };
                score(&joined(&logits)?, &joined(&targets)?)?
            }
        };
        if score.is_nan() {
            let what = format!("score of the teacher of {:?} in epoch {epoch}", self.modality);
            let hint = "check the validation data: a constant set has no R², for one";
            return Err(error::non_finite(what, "a number", "NaN", hint));
        }
        Ok(TeacherEpoch { epoch, loss: mean(own, &trained.samples), score })
    }

    fn finite(&self, epoch: u64, step: usize, loss: f64) -> Result<()> {
        if loss.is_finite() {
            return Ok(());
        }
        Err(error::non_finite(
            format!("loss of the teacher of {:?} in epoch {epoch}, step {step}", self.modality),
            "a finite number",
            format!("{loss}"),
            "check inputs and targets for NaN, and lower the learning rate",
        ))
    }

    fn no_batch(&self, which: &str, epoch: u64) -> Error {
        error::config(
            format!("{which} batches of {:?} in epoch {epoch}", self.modality),
            "at least one with samples that have the modality",
            "none",
            "check the loader: it is asked anew every epoch",
        )
    }
}

/// Weighted by samples.
fn mean(values: &[f64], samples: &[f64]) -> f64 {
    let sum: f64 = values.iter().zip(samples).map(|(value, n)| value * n).sum();
    sum / samples.iter().sum::<f64>()
}
