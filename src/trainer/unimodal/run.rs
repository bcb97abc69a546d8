//! One epoch of training and its validation.

use tch::{Device, Tensor, nn::VarStore};

use super::{TeacherEpoch, task::Task};
use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::optim::Optimizer;
use crate::parameters::{TensorCopies, Variables};
use crate::step::NonFiniteSource;
use crate::teacher::{ProbabilityCheck, UnimodalModel};
use crate::trainer::buffers::WatchedBuffers;
use crate::{libtorch, transfer};

/// A score of logits [N, C] and their targets; higher is better.
pub(super) type Score<'a> = dyn Fn(&Tensor, &Tensor) -> Result<f64> + 'a;

/// A model in training on a device.
pub(super) struct Run<'a> {
    task: &'a Task<'a>,
    model: &'a dyn UnimodalModel,
    device: Device,
    variables: Variables,
    buffers: WatchedBuffers,
}

/// The losses of steps, not read yet, and the number of samples of each.
#[derive(Default)]
pub(super) struct Losses {
    losses: Vec<Tensor>,
    samples: Vec<f64>,
    /// For each step on a device, not 0 where a buffer is not finite; empty without buffers.
    flags: Vec<Tensor>,
}

impl Losses {
    fn push(&mut self, loss: &Tensor, batch: &Batch, flag: Option<Tensor>) {
        self.losses.push(loss.detach());
        self.samples.push(batch.size() as f64);
        self.flags.extend(flag);
    }

    /// Mean of the losses' `values` over the samples.
    fn mean(&self, values: &[f64]) -> f64 {
        let sum: f64 = values.iter().zip(&self.samples).map(|(value, n)| value * n).sum();
        sum / self.samples.iter().sum::<f64>()
    }
}

impl<'a> Run<'a> {
    /// A run of `model`, whose variables are in `vs`. Synchronises with the device if it has buffers.
    pub(super) fn new(
        task: &'a Task<'a>,
        model: &'a dyn UnimodalModel,
        vs: &VarStore,
    ) -> Result<Self> {
        let variables = Variables::new(vs);
        let source = |name: &str| NonFiniteSource::Buffer { name: name.to_owned(), modality: None };
        let buffers = WatchedBuffers::new(&variables, source)?;
        Ok(Self { task, model, device: vs.device(), variables, buffers })
    }

    /// Trains for one epoch. Does not synchronise with a device. On the CPU a step that is an error
    /// before backward leaves the buffers as it found them.
    pub(super) fn train(
        &self,
        epoch: u64,
        optimizer: &mut Optimizer,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Losses> {
        let (mut seen, mut before) = (Losses::default(), None);
        for batch in batches {
            let Some(batch) = self.task.select(batch?, self.device)? else { continue };
            optimizer.zero_grad()?;
            if self.device == Device::Cpu {
                self.variables.copy_buffers(&mut before)?;
            }
            let forward = self.forward(epoch, &seen, &batch).or_else(|error| {
                before.as_ref().map_or(Ok(()), TensorCopies::restore)?;
                Err(error)
            });
            let (loss, flag) = forward?;
            loss.f_backward().map_err(|e| Error::torch("differentiate a teacher's loss", e))?;
            optimizer.step()?;
            seen.push(&loss, &batch, flag);
        }
        if seen.losses.is_empty() {
            return Err(self.task.no_batch("training", epoch));
        }
        Ok(seen)
    }

    /// The loss of a batch after the steps `seen`. On the CPU it is checked, and so are the buffers; on a
    /// device the flag of the buffers is returned, too.
    fn forward(
        &self,
        epoch: u64,
        seen: &Losses,
        batch: &Batch,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let loss = self.task.forward(self.model, batch, true)?.loss;
        if !loss.requires_grad() {
            return Err(error::config(
                format!("model of {:?}", self.task.modality()),
                "logits that depend on a parameter that learns",
                "logits without gradient",
                "unfreeze its VarStore, and train with gradients enabled",
            ));
        }
        let flag = self.buffers.flag()?;
        if self.device != Device::Cpu {
            return Ok((loss, flag));
        }
        let scalars: Vec<Tensor> = std::iter::once(loss.detach()).chain(flag).collect();
        let values = transfer::read_on_host(&scalars)?;
        let step = seen.losses.len();
        self.task.check_finite("training", epoch, step, values[0])?;
        self.check_buffers(epoch, step, batch.size() as f64, &values[1..])?;
        Ok((loss, None))
    }

    /// Refuses a step whose `flags` are not all 0, since a buffer is not finite.
    fn check_buffers(&self, epoch: u64, step: usize, samples: f64, flags: &[f64]) -> Result<()> {
        if flags.iter().all(|&flag| flag == 0.0) {
            return Ok(());
        }
        Err(self.task.buffer_error(&self.buffers.first()?, epoch, step, samples))
    }

    /// Validates the epoch whose training losses are `trained`. Reads all losses in one transfer, and
    /// checks that the model is finite.
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
        let mut probabilities = ProbabilityCheck::default();
        for batch in batches {
            let Some(batch) = self.task.select(batch?, self.device)? else { continue };
            let forward = self.task.forward(self.model, &batch, false)?;
            seen.push(&forward.loss, &batch, None);
            probabilities.add(&forward.logits, batch.targets())?;
            if score.is_some() {
                logits.push(forward.logits);
                targets.push(batch.targets().shallow_clone());
            }
        }
        if seen.losses.is_empty() {
            return Err(self.task.no_batch("validation", epoch));
        }
        let parameters = self.variables.parameters().map(|(_, tensor)| tensor);
        let model = libtorch::any_not_finite(parameters)?;
        let parts = [
            &trained.losses[..],
            &trained.flags,
            model.as_slice(),
            &seen.losses,
            probabilities.flags(),
        ];
        let all: Vec<Tensor> = parts.into_iter().flatten().map(Tensor::shallow_clone).collect();
        let mut values = transfer::read_scalars(&all)?.into_iter();
        let [training, flags, model, validation, flat] =
            parts.map(|part| values.by_ref().take(part.len()).collect::<Vec<_>>());
        for (step, &loss) in training.iter().enumerate() {
            self.task.check_finite("training", epoch, step, loss)?;
            let flag = flags.get(step..=step).unwrap_or_default();
            self.check_buffers(epoch, step, trained.samples[step], flag)?;
        }
        let modality = self.task.modality();
        if model.iter().any(|&flag| flag != 0.0) {
            self.variables.check_finite(&format!("teacher of {modality:?} after epoch {epoch}"))?;
        }
        for (step, &loss) in validation.iter().enumerate() {
            self.task.check_finite("validation", epoch, step, loss)?;
        }
        probabilities.check_flags(&format!("logits of the model of {modality:?}"), &flat)?;
        let score = match score {
            None => -seen.mean(&validation),
            Some(score) => score(&join_on_host(&logits)?, &join_on_host(&targets)?)?,
        };
        if score.is_nan() {
            let what = format!("score of the teacher of {modality:?} in epoch {epoch}");
            let hint = "check the validation data: constant targets have no R², for example";
            return Err(error::non_finite(what, "a number", "NaN", hint));
        }
        Ok(TeacherEpoch { epoch, loss: trained.mean(&training), score })
    }
}

fn join_on_host(parts: &[Tensor]) -> Result<Tensor> {
    let joined = Tensor::f_cat(parts, 0).and_then(|joined| joined.f_to_device(Device::Cpu));
    joined.map_err(|e| Error::torch("join a teacher's outputs", e))
}
