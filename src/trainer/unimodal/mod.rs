//! Training of a teacher: one modality, an encoder and a head.
//!
//! - `trainer`: [`UnimodalTrainer`], the configuration and the loop over epochs.
//! - `run`: one epoch of training and its validation.
//! - `task`: the modality, and the loss of a batch.
//! - `report`: [`TrainedTeacher`], [`TeacherEpoch`], [`KeepWeights`].

mod report;
mod run;
mod task;
mod trainer;

pub use report::{KeepWeights, TeacherEpoch, TrainedTeacher};
pub use trainer::UnimodalTrainer;
