//! Training of a teacher: one modality, an encoder and a head.
//!
//! - `trainer`: [`UnimodalTrainer`], the configuration and the loop over epochs.
//! - `options`: accumulation, clipping, loss scaling and the like.
//! - `run`: epochs of training and their validation, by the owners of a student's step.
//! - `task`: the modality, and the loss of a batch.
//! - `report`: [`TrainedTeacher`], [`TeacherEpoch`], [`KeepWeights`].

mod options;
mod report;
mod run;
mod task;
mod trainer;

pub use report::{KeepWeights, TeacherEpoch, TrainedTeacher};
pub use trainer::UnimodalTrainer;
