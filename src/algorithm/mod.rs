//! Training algorithms other than a G²D step, under one interface.
//!
//! - [`Algorithm`]: the trait; [`G2dTrainer`](crate::G2dTrainer) implements it.
//! - [`Session`]: what algorithms share: the checks of a step, the position in the run, the means of
//!   an epoch and their state. [`Pass`]: the forward and backward passes over one batch.
//!   [`Gradients`]: the gradients of a model's parameters, which an algorithm may change.
//! - [`Ruled`]: a student with the prediction rule of an algorithm, for evaluation.
//!
//! The algorithms of other papers are in `g2d::paper::baselines` (feature `paper`); docs/baselines.md
//! compares them and writes another one.

mod computed;
mod gradients;
mod pass;
mod ruled;
mod session;
mod trainer;

use tch::{Device, Tensor, nn::VarStore};

pub use computed::Computed;
pub use gradients::{Gradients, Parameter};
pub use pass::Pass;
pub use ruled::Ruled;
pub use session::Session;

use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;
use crate::optim::ApplyGradients;
use crate::schedule::Progress;
use crate::step::{EpochReport, StepReport};
use crate::student::{Features, Student};
use crate::trainer::{Precision, ResumeState};

/// A method that trains a student by an optimizer of the caller.
///
/// The caller keeps the loop and the data. A step may make several backward passes and several updates;
/// stages and the parameters that move in them are the algorithm's own concern.
///
/// # Contract
/// - In each epoch the caller calls `begin_epoch` once before the first step, then `step` for each batch,
///   then `finish_update` and `end_epoch`. A run that resumes inside an epoch does not call `begin_epoch`
///   for it again.
/// - `step` updates the parameters by `optimizer` and leaves no gradient behind. A step that fails before
///   its first update has changed nothing and does not count.
/// - The state is complete: a run that is restored continues with the same bits.
///
/// # Example
/// ```no_run
/// # use g2d::{Batch, Result, Student, algorithm::{Algorithm, Ruled}, optim::Optimizer};
/// # fn train(
/// #     algorithm: &mut dyn Algorithm, student: &dyn Student, optimizer: &mut Optimizer,
/// #     loader: impl Fn(u64) -> Vec<Result<Batch>>, val: impl Fn() -> Vec<Result<Batch>>,
/// # ) -> Result<()> {
/// for epoch in algorithm.progress().epoch..100 {
///     algorithm.begin_epoch(student, &mut loader(epoch).into_iter())?;
///     for batch in loader(epoch) {
///         algorithm.step(student, &batch?, optimizer)?;
///     }
///     algorithm.finish_update(optimizer)?;
///     algorithm.end_epoch()?;
///     let found = Ruled::new(algorithm, student).evaluate(val())?;
///     println!("{}", found.accuracy()?);
/// }
/// # Ok(())
/// # }
/// ```
pub trait Algorithm {
    /// The modalities, in the student's order.
    fn modalities(&self) -> &[Modality];

    /// The position in the run.
    fn progress(&self) -> Progress;

    /// The device of the student.
    fn device(&self) -> Device;

    /// Whether [`begin_epoch`](Self::begin_epoch) reads batches of the epoch at this position. `false` by
    /// default.
    fn reads_batches(&self) -> bool {
        false
    }

    /// Whether the algorithm sets the learning rate factor of the optimizer, so that the caller has no
    /// schedule of its own. `false` by default.
    fn schedules_lr(&self) -> bool {
        false
    }

    /// The number of this rank in a group; 0 without one. Rank 0 writes snapshots and records.
    fn rank(&self) -> usize {
        0
    }

    /// Returns `outcome` if it is a success on all ranks of a group, with the number of rank 0. All ranks call
    /// it. Without a group, the default, it is the outcome of this process.
    ///
    /// # Errors
    /// The error of this rank or, as [`Error::Rank`](crate::Error::Rank), of another one.
    fn agree(&mut self, outcome: Result<f64>) -> Result<f64> {
        outcome
    }

    /// The tensors that all ranks of a group pass, in their order, in host memory. All ranks call it. Without a
    /// group, the default, it is `own` alone.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) where the ranks cannot be reached.
    fn gather(&mut self, own: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![own.shallow_clone()])
    }

    /// Begins an epoch by a pass over as many of `batches` as the algorithm needs: none by default.
    /// Parameters and buffers do not change.
    ///
    /// # Errors
    /// Any error of a batch or of the student.
    fn begin_epoch(
        &mut self,
        student: &dyn Student,
        batches: &mut dyn Iterator<Item = Result<Batch>>,
    ) -> Result<()> {
        let _ = (student, batches);
        Ok(())
    }

    /// Trains on one batch.
    ///
    /// # Errors
    /// An error for a batch, a student or an optimizer that the algorithm does not support, and for a loss
    /// or a buffer that is not finite.
    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport>;

    /// Makes an update that is due although the last step did not complete it, as that of an open
    /// accumulation window. Nothing by default.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    fn finish_update(&mut self, optimizer: &mut dyn ApplyGradients) -> Result<()> {
        let _ = optimizer;
        Ok(())
    }

    /// Ends an epoch and returns its means.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if no step was made since the last call.
    fn end_epoch(&mut self) -> Result<EpochReport>;

    /// The prediction rule: logits [B, C] from the features of all modalities, without gradient. By
    /// default those of the student's fusion.
    ///
    /// # Errors
    /// Any error of the student.
    fn logits(&self, student: &dyn Student, features: &Features<'_>) -> Result<Tensor> {
        student.fuse(features, false)
    }

    /// The logits [B, C] of modality `m` alone; `None` where there are none. By default the student's
    /// unimodal logits.
    ///
    /// # Errors
    /// Any error of the student.
    fn unimodal_logits(
        &self,
        student: &dyn Student,
        m: usize,
        features: &Features<'_>,
    ) -> Result<Option<Tensor>> {
        student.unimodal_logits(m, features)
    }

    /// The dtype in which the student runs, in training and in [`Ruled::evaluate`]: [`Precision::Full`] by
    /// default.
    fn precision(&self) -> Precision {
        Precision::Full
    }

    /// What [`restore`](Self::restore) needs to resume a run, except for the tensors of
    /// [`store`](Self::store).
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if the device has failed.
    fn state(&mut self) -> Result<ResumeState>;

    /// Restores what [`state`](Self::state) of an algorithm with the same configuration returned.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another algorithm; nothing has changed
    /// then.
    fn restore(&mut self, state: &ResumeState) -> Result<()>;

    /// State that is as large as the model, such as weights at the start of an epoch, which a snapshot
    /// holds as a file beside the weights. `None` by default.
    fn store(&self) -> Option<&VarStore> {
        None
    }
}

const _: Option<&dyn Algorithm> = None; // stays object-safe

impl<T: Algorithm + ?Sized> Algorithm for Box<T> {
    fn modalities(&self) -> &[Modality] {
        (**self).modalities()
    }

    fn progress(&self) -> Progress {
        (**self).progress()
    }

    fn device(&self) -> Device {
        (**self).device()
    }

    fn reads_batches(&self) -> bool {
        (**self).reads_batches()
    }

    fn schedules_lr(&self) -> bool {
        (**self).schedules_lr()
    }

    fn rank(&self) -> usize {
        (**self).rank()
    }

    fn agree(&mut self, outcome: Result<f64>) -> Result<f64> {
        (**self).agree(outcome)
    }

    fn gather(&mut self, own: &Tensor) -> Result<Vec<Tensor>> {
        (**self).gather(own)
    }

    fn begin_epoch(
        &mut self,
        student: &dyn Student,
        batches: &mut dyn Iterator<Item = Result<Batch>>,
    ) -> Result<()> {
        (**self).begin_epoch(student, batches)
    }

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        (**self).step(student, batch, optimizer)
    }

    fn finish_update(&mut self, optimizer: &mut dyn ApplyGradients) -> Result<()> {
        (**self).finish_update(optimizer)
    }

    fn end_epoch(&mut self) -> Result<EpochReport> {
        (**self).end_epoch()
    }

    fn logits(&self, student: &dyn Student, features: &Features<'_>) -> Result<Tensor> {
        (**self).logits(student, features)
    }

    fn unimodal_logits(
        &self,
        student: &dyn Student,
        m: usize,
        features: &Features<'_>,
    ) -> Result<Option<Tensor>> {
        (**self).unimodal_logits(student, m, features)
    }

    fn precision(&self) -> Precision {
        (**self).precision()
    }

    fn state(&mut self) -> Result<ResumeState> {
        (**self).state()
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        (**self).restore(state)
    }

    fn store(&self) -> Option<&VarStore> {
        (**self).store()
    }
}
