//! Epochs of training and their validation.

use std::cell::OnceCell;

use tch::{Device, Tensor, nn::VarStore};

use super::{
    options::StepOptions,
    report::TeacherEpoch,
    task::{Forward, Task},
};
use crate::batch::{Batch, Rows, SplitBatch};
use crate::error::{self, Error, Result};
use crate::libtorch;
use crate::optim::Optimizer;
use crate::parameters::{ModalityParams, Variables};
use crate::ranks::{Call, Ranks};
use crate::schedule::{Plan, Progress};
use crate::step::{Combined, MicroBatch, Observation, SkipCause, StepOutcome};
use crate::teacher::{ProbabilityCheck, UnimodalModel};
use crate::trainer::{
    ReplicaBuffers, Suppression, agreed, buffers::WatchedBuffers, finite::FiniteGuard, gradients,
    reduction::Reduction, replicas, updater::Updater, window::AccumulationWindow,
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
    ranks: Ranks,
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

    /// The sum of the losses' `values` over the samples, and the number of samples.
    fn sum(&self, values: &[f64]) -> [f64; 2] {
        let sum = values.iter().zip(&self.samples).map(|(value, n)| value * n).sum();
        [sum, self.samples.iter().sum()]
    }
}

/// What the validation of an epoch has found on this rank.
struct Validated {
    /// The sums of the training losses and of the validation losses.
    sums: [[f64; 2]; 2],
    /// Logits and targets, where a score needs them.
    predictions: Option<[Tensor; 2]>,
}

impl<'a> Run<'a> {
    /// A run of `model`, whose variables are in `vs`, with the other `ranks`. Synchronises with the device if it
    /// has buffers.
    pub(super) fn new(
        task: &'a Task,
        model: &'a dyn UnimodalModel,
        vs: &VarStore,
        options: StepOptions,
        ranks: Ranks,
    ) -> Result<Self> {
        let params = ModalityParams::of_one(vs, task.modality())?;
        replicas::copy_from_first(&ranks, params.variables())?;
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
        )?
        .reduced_by(Reduction::new(ranks.clone()));
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
            ranks,
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
            let own = batch.and_then(|batch| self.task.select(batch, self.device));
            let Some((batch, combined)) = self.combine(own)? else { continue };
            let update_factor = self.options.update_schedule.factor(self.progress.updates);
            optimizer.set_lr_factor(lr_factor * update_factor)?;
            let (outcome, loss) = self.step(&batch, &combined)?;
            if outcome.skipped().is_none() {
                seen.push(&loss, &batch);
            }
            self.progress.step += 1;
            self.progress.total_steps += 1;
            self.update(&outcome, optimizer)?;
        }
        let trained = match self.progress.step {
            0 => Err(self.task.no_batch("training", self.progress.epoch)),
            _ => Ok(()),
        };
        let Self { window, guard, params, ranks, .. } = self;
        let at = self.progress.total_steps;
        ranks.agree(Call::FinishWindow, at, trained, |()| Vec::new())?;
        if let Some(flag) = window.complete_early(params.variables())? {
            let outcome = gradients::conclude(None, flag, self.progress, params, window, guard)
                .map_err(|e| self.task.describe(e))?;
            self.update(&outcome, optimizer)?;
        }
        ReplicaBuffers::default().apply(&self.ranks, self.params.variables())?;
        Ok(seen)
    }

    /// The batch of this rank, and that of all ranks together; `None` where no rank has a sample.
    fn combine(&self, own: Result<Option<Batch>>) -> Result<Option<(Batch, Combined)>> {
        if self.ranks.group().is_none() {
            return Ok(own?.map(|batch| (batch, Combined::alone(1))));
        }
        let objective = self.task.objective();
        let row = |batch: &Batch| {
            Combined::row(&SplitBatch::new(batch, 1)?, &[f64::NAN], objective, &self.ranks)
        };
        let shown = own.and_then(|own| {
            let row = own.as_ref().map_or_else(|| Ok(Combined::empty_row(1)), row)?;
            Ok((own, row))
        });
        let at = self.progress.total_steps;
        let ((own, _), rows) = self.ranks.agree(Call::Plan, at, shown, |(_, row)| row.clone())?;
        let complete = Combined::check_all_have(&rows, objective.modalities());
        complete.map_err(|error| self.task.describe(error))?;
        Ok(own.map(|batch| (batch, Combined::new(&rows, self.ranks.rank(), 1))))
    }

    fn update(&mut self, outcome: &StepOutcome, optimizer: &mut Optimizer) -> Result<()> {
        self.progress.updates += u64::from(outcome.is_ready());
        let Self { updater, window, params, .. } = self;
        updater.update(window, params.variables(), optimizer).map(|_| ())
    }

    /// Runs one micro-batch; returns its outcome and its loss.
    fn step(&mut self, batch: &Batch, combined: &Combined) -> Result<(StepOutcome, Tensor)> {
        let micro_batch = self.window.begin(self.params.variables())?;
        self.differentiate(batch, combined, micro_batch).or_else(|error| {
            self.window.revert()?;
            Err(error)
        })
    }

    fn differentiate(
        &mut self,
        batch: &Batch,
        combined: &Combined,
        micro_batch: MicroBatch,
    ) -> Result<(StepOutcome, Tensor)> {
        let forward = self.forward(batch, combined);
        let Forward { features, logits, terms } = forward
            .map_err(|error| self.ranks.fail(Call::Loss, self.progress.total_steps, error))?;
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
            ranks: &self.ranks,
            combined,
            unimodal: OnceCell::new(),
        };
        let outcome = self.task.gradients(&observation, &mut self.window, &mut self.guard)?;
        Ok((outcome, terms.task))
    }

    /// The outputs in training mode, and L_S, whose mean over the ranks is that of their batches together.
    fn forward(&self, batch: &Batch, combined: &Combined) -> Result<Forward> {
        let mut forward = self.task.forward(self.model, batch, true)?;
        if !forward.terms.total.requires_grad() {
            return Err(error::config(
                format!("model of {:?}", self.task.modality()),
                "logits that depend on a parameter that learns",
                "logits without gradient",
                "unfreeze its VarStore, and train with gradients enabled",
            ));
        }
        combined.balance(&mut forward.terms, None, self.task.objective().modalities())?;
        Ok(forward)
    }

    /// Validates the epoch whose training losses are `trained`, by the batches of all ranks. Reads all losses in
    /// one transfer, and checks that the model is finite.
    pub(super) fn validate(
        &mut self,
        trained: &Losses,
        score: Option<&Score<'_>>,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<TeacherEpoch> {
        let epoch = self.progress.epoch;
        let own = self.validated(trained, score.is_some(), batches);
        let shown = |own: &Validated| own.sums.concat();
        let at = self.progress.total_steps;
        let (own, rows) = self.ranks.agree(Call::EndEpoch, at, own, shown)?;
        let sum = |i: usize| rows.iter().map(|row| row.values[i]).sum::<f64>();
        let (loss, validation) = (sum(0) / sum(1), sum(2) / sum(3));
        if sum(3) == 0.0 {
            return Err(self.task.no_batch("validation", epoch));
        }
        let score = match score {
            None => -validation,
            Some(score) => {
                let own = own.predictions.as_ref();
                let of_all = |i: usize| self.ranks.gather_rows(own.map(|own| &own[i]));
                let [logits, targets] = [of_all(0)?, of_all(1)?].map(Option::unwrap_or_default);
                score(&logits, &targets)?
            }
        };
        if score.is_nan() {
            let what =
                format!("score of the teacher of {:?} in epoch {epoch}", self.task.modality());
            let hint = "check the validation data: constant targets have no R², for example";
            return Err(error::non_finite(what, "a number", "NaN", hint));
        }
        self.progress.epoch += 1;
        Ok(TeacherEpoch { epoch, loss, score })
    }

    fn validated(
        &mut self,
        trained: &Losses,
        keeps_predictions: bool,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Validated> {
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
            if keeps_predictions {
                logits.push(forward.logits);
                targets.push(batch.targets().shallow_clone());
            }
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
        let predictions = match logits.is_empty() {
            true => None,
            false => Some([join_on_host(&logits)?, join_on_host(&targets)?]),
        };
        Ok(Validated { sums: [trained.sum(&training), seen.sum(&validation)], predictions })
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
        let found = guard.check_loss(step).map_err(describe);
        if let Some(source) = agreed::source(step, found)? {
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
