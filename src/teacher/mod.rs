//! Frozen unimodal teachers.
//!
//! - [`FrozenModel`]: a closure over tch modules, or another [`UnimodalModel`].
//! - [`TorchScript`]: a module scripted or traced in Python.
//! - [`Cached`]: what another teacher said, recorded once by sample id; [`OutputFile`] keeps it.

pub mod cache;
mod frozen_model;
mod torchscript;
mod unimodal;

use tch::Tensor;

pub use cache::Cached;
pub use frozen_model::FrozenModel;
pub use torchscript::{ScriptOutput, TorchScript};
pub use unimodal::UnimodalModel;

use crate::{batch::Batch, error::Result, modality::Modality};

/// A frozen, independently trained model of one modality (φ_t^m and its head).
///
/// # Contract
/// - `output` looks only at the input of modality `m` (or at the sample ids).
/// - It evaluates: batch norm and dropout as in evaluation, the same output for the same batch.
/// - Its output carries no gradient and is finite; rows follow the batch's order.
/// - It is called once a step, before the student runs, about the samples that have its modality, and
///   not at all where none has.
pub trait Teacher {
    /// The modality that it knows.
    fn modality(&self) -> &Modality;

    /// Features f_t^m [B, d_m] and logits l_t^m [B, C] for the batch, whose modality index is `m`.
    ///
    /// # Errors
    /// Whatever keeps it from answering; `step` passes it on with nothing changed.
    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput>;
}

const _: Option<&dyn Teacher> = None; // stays object-safe

impl<T: Teacher + ?Sized> Teacher for Box<T> {
    fn modality(&self) -> &Modality {
        (**self).modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        (**self).output(m, batch)
    }
}

/// What a teacher says of a batch.
#[derive(Debug)]
pub struct TeacherOutput {
    /// Features f_t^m, [B, d_m].
    pub features: Tensor,
    /// Logits l_t^m (or predictions), [B, C].
    pub logits: Tensor,
    /// Logits and targets in host memory, where they are known without asking the device.
    pub host: Option<HostCopy>,
}

/// Copies in host memory from which ρ is computed without a wait for the device.
#[derive(Debug)]
pub struct HostCopy {
    /// The teacher's logits [B, C], on the CPU.
    pub logits: Tensor,
    /// The targets as they were recorded, on the CPU.
    pub targets: Tensor,
}
