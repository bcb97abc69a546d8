//! Frozen unimodal teachers.
//!
//! - [`FrozenModel`]: a closure over tch modules, or another [`UnimodalModel`].
//! - [`TorchScript`]: a module scripted or traced in Python.
//! - [`Cached`]: the recorded outputs of another teacher, by sample id, in memory or in a
//!   [`cache::OutputFile`].

pub mod cache;
mod frozen_model;
mod probabilities;
mod torchscript;
mod unimodal;

use tch::Tensor;

pub use cache::Cached;
pub use frozen_model::FrozenModel;
pub(crate) use probabilities::ProbabilityCheck;
pub use torchscript::{ScriptOutput, TorchScript};
pub use unimodal::UnimodalModel;

use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;
use crate::unwind::{caught, describe};

/// A frozen, independently trained model of one modality: an encoder φ_t^m and its head.
///
/// # Contract
/// - `output` uses only the input of modality `m`, or the sample ids.
/// - The model runs in evaluation mode: the same batch gives the same output.
/// - The output is finite and has no gradient; its rows are in the order of the batch.
/// - For classes the logits are the input of softmax, not its output. Logits of class labels whose rows
///   are all ≥ 0 and sum to 1 are refused where it costs no synchronisation with a device:
///   [`evaluate_teacher`](crate::trainer::evaluate_teacher), the recording of a cache, and the first step
///   of a trainer if they are in host memory.
/// - A panic in `output` is an [`Error::Panic`](crate::Error::Panic), as in a [`Student`](crate::Student).
/// - The trainer calls `output` once per step, before the student runs, with the samples that have the
///   modality; not at all if there are none.
///
/// # Example
/// ```
/// use g2d::{Batch, Modality, Result, Teacher, TeacherOutput, teacher::FrozenModel};
///
/// /// The mean output of two teachers of the same modality.
/// struct Ensemble(FrozenModel, FrozenModel);
///
/// impl Teacher for Ensemble {
///     fn modality(&self) -> &Modality { self.0.modality() }
///     fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
///         let (a, b) = (self.0.output(m, batch)?, self.1.output(m, batch)?);
///         Ok(TeacherOutput {
///             features: (a.features + b.features) / 2.0,
///             logits: (a.logits + b.logits) / 2.0,
///             host: None,
///         })
///     }
/// }
/// ```
pub trait Teacher {
    /// The modality of the teacher.
    fn modality(&self) -> &Modality;

    /// Features f_t^m [B, d_m] and logits l_t^m [B, C] for `batch`, in which the modality has index
    /// `m`.
    ///
    /// # Errors
    /// Any error of the teacher; [`G2dTrainer::step`](crate::G2dTrainer::step) returns it with nothing
    /// changed.
    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput>;
}

const _: Option<&dyn Teacher> = None; // stays object-safe

/// The output of a teacher; a panic is [`Error::Panic`](crate::Error::Panic).
pub(crate) fn caught_output(
    teacher: &dyn Teacher,
    m: usize,
    batch: &Batch,
) -> Result<TeacherOutput> {
    let part = || format!("teacher {:?}", teacher.modality());
    let inputs = || batch.inputs().get(m).map_or_else(String::new, |x| describe(x.tensors()));
    caught(part, inputs, || teacher.output(m, batch))
}

impl<T: Teacher + ?Sized> Teacher for Box<T> {
    fn modality(&self) -> &Modality {
        (**self).modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        (**self).output(m, batch)
    }
}

/// The output of a teacher for a batch.
#[derive(Debug)]
pub struct TeacherOutput {
    /// Features f_t^m, [B, d_m].
    pub features: Tensor,
    /// Logits l_t^m (or predictions), [B, C].
    pub logits: Tensor,
    /// Logits and targets in host memory, if they are available without synchronising with the device.
    pub host: Option<HostCopy>,
}

/// Logits and targets in host memory, from which ρ is computed without synchronising with the device.
#[derive(Debug)]
pub struct HostCopy {
    /// The teacher's logits [B, C], on the CPU.
    pub logits: Tensor,
    /// The targets, as recorded, on the CPU.
    pub targets: Tensor,
}
