//! What algorithms share: checks, position, means of the epoch, and their state.

use std::cell::Cell;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tch::{Device, Tensor};

use super::{Computed, Gradients, Parameter, Pass};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::parameters::{ModalityParams, TensorCopies};
use crate::schedule::{Plan, Progress};
use crate::state::State;
use crate::step::{EpochReport, MicroBatch, StepOutcome, StepReport};
use crate::student::{Caught, Student};
use crate::trainer::{EpochTotals, ResumeState, WatchedBuffers};

/// The model, the position in the run and the means of the epoch of an [`Algorithm`](super::Algorithm).
///
/// Samples must have all modalities, forward passes run in the dtype of the model, and a value that is
/// not finite is an error.
#[derive(Debug)]
pub struct Session {
    /// The name of the algorithm, in errors and states.
    name: &'static str,
    modalities: Vec<Modality>,
    params: ModalityParams,
    parameters: Vec<Parameter>,
    buffers: WatchedBuffers,
    /// The buffers before the step, whose memory is reused.
    before: Option<TensorCopies>,
    totals: EpochTotals,
    progress: Progress,
}

/// The state of an algorithm in a [`ResumeState`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<T> {
    name: String,
    state: T,
}

impl Session {
    /// A session of the algorithm `name` for `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for fewer than two modalities, and for parameters of
    /// other modalities or in another order.
    pub fn new(name: &'static str, student: &dyn Student, params: ModalityParams) -> Result<Self> {
        let modalities = student.modalities().to_vec();
        Modality::check_names(&modalities)?;
        if !params.modalities().eq(&modalities) {
            let found: Vec<_> = params.modalities().collect();
            return Err(error::config(
                format_args!("modalities of the parameters of {name}"),
                format_args!("{modalities:?}, the student's in its order"),
                format_args!("{found:?}"),
                "give one per modality, in the student's order",
            ));
        }
        let index = |m: &Modality| modalities.iter().position(|own| own == m);
        let all = params.variables().with_modalities();
        let parameters = all.map(|(name, tensor, modality)| Parameter {
            name: name.clone(),
            tensor: tensor.shallow_clone(),
            modality: modality.and_then(index),
        });
        Ok(Self {
            name,
            parameters: parameters.collect(),
            buffers: WatchedBuffers::from_params(&params)?,
            before: None,
            totals: EpochTotals::new(modalities.len()),
            progress: Progress::default(),
            modalities,
            params,
        })
    }

    /// Refuses a number of modalities other than `expected`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config).
    pub fn expect_modalities(&self, expected: usize) -> Result<()> {
        if self.modalities.len() == expected {
            return Ok(());
        }
        let what = format!("number of modalities of {}", self.name);
        let hint = "the method is defined for this number only; choose another one";
        Err(error::config(what, expected, self.modalities.len(), hint))
    }

    /// The modalities, in the student's order.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// The position in the run.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The device of the student.
    pub fn device(&self) -> Device {
        self.params.device()
    }

    /// The parameters of the model.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The passes over a batch outside a step, for [`Algorithm::begin_epoch`](super::Algorithm). Buffers
    /// that it moves stay moved.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for another student than that of the session, and for a
    /// sample that lacks a modality; an error for a batch of a wrong shape, dtype or device.
    pub fn pass<'a>(&'a self, student: &'a dyn Student, batch: &'a Batch) -> Result<Pass<'a>> {
        if student.modalities() != self.modalities {
            return Err(error::config(
                format!("student given to {}", self.name),
                format!("the modalities {:?}", self.modalities),
                format!("{:?}", student.modalities()),
                "build an algorithm for each student",
            ));
        }
        batch.check(&self.modalities, self.params.device())?;
        let lacks = |m: &usize| batch.present(*m).is_some_and(|flags| flags.contains(&false));
        if let Some(m) = (0..self.modalities.len()).find(lacks) {
            return Err(error::config(
                format!("batch given to {}", self.name),
                format!("samples that have modality {:?}", self.modalities[m]),
                "a sample that lacks it",
                "the method is not defined for missing modalities; leave such samples out",
            ));
        }
        Ok(Pass {
            at: self.progress,
            student: Caught(student),
            batch,
            modalities: &self.modalities,
            parameters: &self.parameters,
            buffers: &self.buffers,
            updates: Cell::new(0),
        })
    }

    /// Runs a step: `compute` makes passes over the batch and updates the parameters. After an error
    /// before its first update, buffers are as they were, and the step does not count.
    ///
    /// # Errors
    /// As [`pass`](Self::pass), and any error of `compute`.
    pub fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        compute: impl FnOnce(&Pass<'_>) -> Result<Computed>,
    ) -> Result<StepReport> {
        let mut before = self.before.take();
        self.params.variables().copy_buffers(&mut before)?;
        let (computed, updates) = {
            let pass = self.pass(student, batch)?;
            let computed = compute(&pass);
            (computed, pass.updates.get())
        };
        let Computed { terms, logits, factors, details } = match computed {
            Ok(computed) => computed,
            Err(error) => {
                Gradients::clear(&self.parameters)?;
                if let (Some(before), 0) = (&before, updates) {
                    before.restore()?;
                }
                return Err(error);
            }
        };
        self.before = before;
        let k = self.modalities.len();
        let report = StepReport {
            at: self.progress,
            plan: Plan::joint(k),
            modulation: factors,
            micro_batch: MicroBatch { index: 0, count: 1 },
            outcome: StepOutcome::Ready,
            batch_size: batch.size(),
            present: vec![batch.size(); k],
            terms: terms.map(Tensor::detach),
            confidence: (0..k).map(|_| None).collect(),
            logits: logits.detach(),
            details,
        };
        self.totals.add(&report)?;
        self.progress.step += 1;
        self.progress.total_steps += 1;
        self.progress.updates += updates;
        Ok(report)
    }

    /// Ends an epoch and returns its means.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if no step was made since the last call.
    pub fn end_epoch(&mut self) -> Result<EpochReport> {
        if self.progress.step == 0 {
            return Err(error::config(
                format!("epoch {}", self.progress.epoch),
                "at least one step before `end_epoch`",
                "none",
                "check that the loader yields batches",
            ));
        }
        let report = self.totals.read(self.progress, &self.modalities)?;
        self.totals = EpochTotals::new(self.modalities.len());
        self.progress.epoch += 1;
        self.progress.step = 0;
        Ok(report)
    }

    /// The state of the session and that of the algorithm, `own`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a state that JSON cannot represent;
    /// [`Error::Torch`](crate::Error::Torch) if the device has failed.
    pub fn state(&self, own: &impl Serialize) -> Result<ResumeState> {
        let own = State::new(&Named { name: self.name.to_owned(), state: own })?;
        ResumeState::of_algorithm(&self.modalities, self.progress, &self.totals, own)
    }

    /// Restores the session, and returns the state of the algorithm.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another algorithm or of other
    /// modalities, and any error of `check`, which receives the algorithm's state; nothing has changed
    /// then.
    pub fn restore<T: DeserializeOwned>(
        &mut self,
        state: &ResumeState,
        check: impl FnOnce(&T) -> Result<()>,
    ) -> Result<T> {
        let name = self.name;
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        let Name { name: found } = state.algorithm().read(name)?;
        if found != name {
            return Err(error::foreign_state("state of an algorithm", name, found));
        }
        let Named { state: own, .. } = state.algorithm().read::<Named<T>>(name)?;
        let totals = state.totals(&self.modalities)?;
        check(&own)?;
        (self.totals, self.progress) = (totals, state.progress());
        Ok(own)
    }
}
