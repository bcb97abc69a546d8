//! Epochs of training and their validation.

use std::cell::OnceCell;

use tch::{Device, Tensor, nn::VarStore};

use super::{
    options::StepOptions,
    report::TeacherEpoch,
    task::{Forward, Task},
};
use crate::batch::{Batch, Rows};
use crate::error::{self, Error, Result};
use crate::libtorch;
use crate::optim::Optimizer;
use crate::parameters::{ModalityParams, Variables};
use crate::ranks::Ranks;
use crate::schedule::{Plan, Progress};
use crate::step::{Combined, MicroBatch, Observation, SkipCause, StepOutcome};
use crate::teacher::{ProbabilityCheck, UnimodalModel};
use crate::trainer::{
    Suppression, buffers::WatchedBuffers, finite::FiniteGuard, gradients, updater::Updater,
    window::AccumulationWindow,
};

/// A score of logits [N, C] and their targets; higher is better.
pub(super) type Score<'a> = dyn Fn(&Tensor, &Tensor) -> Result<f64> + 'a;

/// A model in training on a device.
pub(super) struct Run<'a> {
    task: &'a Task,
    model: &'a dyn UnimodalModel,
    options: StepOptions,
    device: Device,
    params: ModalityParams,
    /// The model learns in every step.
    plan: Plan,
    window: AccumulationWindow,
    guard: FiniteGuard,
    updater: Updater,
    progress: Progress,
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

    /// Mean of the losses' `values` over the samples; NaN without any.
    fn mean(&self, values: &[f64]) -> f64 {
        let sum: f64 = values.iter().zip(&self.samples).map(|(value, n)| value * n).sum();
        sum / self.samples.iter().sum::<f64>()
    }
}

impl<'a> Run<'a> {
    /// A run of `model`, whose variables are in `vs`. Synchronises with the device if it has buffers.
    pub(super) fn new(
        task: &'a Task,
        model: &'a dyn UnimodalModel,
        vs: &VarStore,
        options: StepOptions,
    ) -> Result<Self> {
        let params = ModalityParams::of_one(vs, task.modality())?;
        let StepOptions { accumulate, loss_scaling, non_finite, clip_norm, .. } = options;
        let guard = FiniteGuard::new(non_finite, WatchedBuffers::from_params(&params)?)?;
        let (suppression, skips) = (Suppression::default(), guard.skips());
        let window = AccumulationWindow::new(
            accumulate,
            suppression,
            false,
            task.precision,
            loss_scaling,
            skips,
        )?;
        Ok(Self {
            task,
            model,
            options,
            device: vs.device(),
            params,
            plan: Plan::only(0, 1),
            window,
            guard,
            updater: Updater::new(clip_norm)?,
            progress: Progress::default(),
        })
    }

    /// All variables of the model.
    pub(super) fn variables(&self) -> &Variables {
        self.params.variables()
    }

    /// Trains for one epoch, whose learning rates are multiplied by `lr_factor`. A last, shorter
    /// window of micro-batches is complete, too.
    pub(super) fn train(
        &mut self,
        lr_factor: f64,
        optimizer: &mut Optimizer,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Losses> {
        let mut seen = Losses::default();
        self.params.variables().clear_gradients()?;
        self.progress.step = 0;
        for batch in batches {
            let Some(batch) = self.task.select(batch?, self.device)? else { continue };
            let update_factor = self.options.update_schedule.factor(self.progress.updates);
            optimizer.set_lr_factor(lr_factor * update_factor)?;
            let (outcome, loss) = self.step(&batch)?;
            if outcome.skipped().is_none() {
                seen.push(&loss, &batch);
            }
            self.progress.step += 1;
            self.progress.total_steps += 1;
            self.update(&outcome, optimizer)?;
        }
        if self.progress.step == 0 {
            return Err(self.task.no_batch("training", self.progress.epoch));
        }
        let Self { window, guard, params, .. } = self;
        if let Some(flag) = window.complete_early(params.variables())? {
            let outcome = gradients::conclude(None, flag, self.progress, params, window, guard)
                .map_err(|e| self.task.describe(e))?;
            self.update(&outcome, optimizer)?;
        }
        Ok(seen)
    }

    fn update(&mut self, outcome: &StepOutcome, optimizer: &mut Optimizer) -> Result<()> {
        self.progress.updates += u64::from(outcome.is_ready());
        let Self { updater, window, params, .. } = self;
        updater.update(window, params.variables(), optimizer).map(|_| ())
    }

    /// Runs one micro-batch; returns its outcome and its loss.
    fn step(&mut self, batch: &Batch) -> Result<(StepOutcome, Tensor)> {
        let micro_batch = self.window.begin(self.params.variables())?;
        self.differentiate(batch, micro_batch).or_else(|error| {
            self.window.revert()?;
            Err(error)
        })
    }

    fn differentiate(
        &mut self,
        batch: &Batch,
        micro_batch: MicroBatch,
    ) -> Result<(StepOutcome, Tensor)> {
        let Forward { features, logits, terms } = self.task.forward(self.model, batch, true)?;
        if !terms.total.requires_grad() {
            return Err(error::config(
                format!("model of {:?}", self.task.modality()),
                "logits that depend on a parameter that learns",
                "logits without gradient",
                "unfreeze its VarStore, and train with gradients enabled",
            ));
        }
        let observation = Observation {
            at: self.progress,
            micro_batch,
            batch,
            rows: &[Rows::All],
            params: &self.params,
            plan: &self.plan,
            teachers: &[],
            confidence: &[],
            terms: &terms,
            logits: &logits.detach(),
            fused: &[features],
            student: None,
            objective: self.task.objective(),
            ranks: &Ranks::default(),
            combined: &Combined::alone(1),
            unimodal: OnceCell::new(),
        };
        let outcome = self.task.gradients(&observation, &mut self.window, &mut self.guard)?;
        Ok((outcome, terms.task))
    }

    /// Validates the epoch whose training losses are `trained`. Reads all losses in one transfer, and
    /// checks that the model is finite.
    pub(super) fn validate(
        &mut self,
        trained: &Losses,
        score: Option<&Score<'_>>,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<TeacherEpoch> {
        let _no_grad = tch::no_grad_guard();
        let epoch = self.progress.epoch;
        let mut seen = Losses::default();
        let (mut logits, mut targets) = (Vec::new(), Vec::new());
        let mut probabilities = ProbabilityCheck::default();
        for batch in batches {
            let Some(batch) = self.task.select(batch?, self.device)? else { continue };
            let forward = self.task.forward(self.model, &batch, false)?;
            seen.push(&forward.terms.task, &batch);
            probabilities.add(&forward.logits, batch.targets())?;
            if score.is_some() {
                logits.push(forward.logits);
                targets.push(batch.targets().shallow_clone());
            }
        }
        if seen.losses.is_empty() {
            return Err(self.task.no_batch("validation", epoch));
        }
        let parameters = self.params.variables().parameters().map(|(_, tensor)| tensor);
        let model = libtorch::any_not_finite(parameters)?;
        let parts = [&trained.losses[..], model.as_slice(), &seen.losses, probabilities.flags()];
        let all: Vec<Tensor> = parts.into_iter().flatten().map(Tensor::shallow_clone).collect();
        // Refuses a loss of the epoch's steps that is not finite.
        let values = self.guard.read(&all).map_err(|e| self.task.describe(e))?;
        let mut values = values.into_iter();
        let [training, model, validation, flat] =
            parts.map(|part| values.by_ref().take(part.len()).collect::<Vec<_>>());
        let modality = self.task.modality();
        if model.iter().any(|&flag| flag != 0.0) {
            let what = format!("teacher of {modality:?} after epoch {epoch}");
            self.params.variables().check_finite(&what)?;
        }
        for (step, &loss) in validation.iter().enumerate() {
            self.task.check_finite(epoch, step, loss)?;
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
        self.progress.epoch += 1;
        Ok(TeacherEpoch { epoch, loss: trained.mean(&training), score })
    }
}

impl Task {
    /// Runs backward on a step and decides what the optimizer may do.
    fn gradients(
        &self,
        step: &Observation<'_>,
        window: &mut AccumulationWindow,
        guard: &mut FiniteGuard,
    ) -> Result<StepOutcome> {
        let describe = |error| self.describe(error);
        if let Some(source) = guard.check_loss(step).map_err(describe)? {
            let cause = SkipCause::NonFinite(source);
            return gradients::skip(cause, step.at, step.params, window, guard).map_err(describe);
        }
        let flag = window.backward(step)?;
        if !step.params.variables().has_gradient() {
            window.undo(step.params.variables())?;
            return Err(error::config(
                format!("model of {:?}", self.modality()),
                "logits that depend on a parameter of the VarStore",
                "none of its parameters has a gradient",
                "pass the VarStore in which the model's layers were made",
            ));
        }
        gradients::conclude(Some(step), flag, step.at, step.params, window, guard).map_err(describe)
    }
}

fn join_on_host(parts: &[Tensor]) -> Result<Tensor> {
    let joined = Tensor::f_cat(parts, 0).and_then(|joined| joined.f_to_device(Device::Cpu));
    joined.map_err(|e| Error::torch("join a teacher's outputs", e))
}
