#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(unsafe_code)]

pub mod algorithm;
pub mod allocator;
pub mod batch;
pub mod calibration;
pub mod checkpoint;
pub mod data;
pub mod diagnosis;
#[cfg(feature = "distributed")]
pub mod distributed;
pub mod error;
pub mod export;
mod file;
pub mod heads;
mod libtorch;
pub mod loss;
mod mean;
pub mod metrics;
mod modality;
pub mod modulation;
mod number;
pub mod optim;
#[cfg(feature = "paper")]
pub mod paper;
pub mod parameters;
pub mod probe;
mod ranks;
pub mod record;
#[cfg(feature = "report")]
pub mod report;
pub mod schedule;
mod state;
pub mod step;
pub mod student;
pub mod teacher;
pub mod torchscript;
pub mod trainer;
mod transfer;
mod unwind;
pub mod weights;

pub use batch::Batch;
pub use error::{Error, Result};
pub use loss::G2dLoss;
pub use modality::{Modality, PerModality};
pub use parameters::ModalityParams;
pub use probe::ImbalanceProbe;
pub use schedule::SmpScheduler;
pub use step::{EpochReport, StepOutcome, StepReport};
pub use student::{Features, Student};
pub use teacher::{Teacher, TeacherOutput};
pub use trainer::{G2dTrainer, evaluate, predict};

/// The items that most programs use.
///
/// It does not include [`Error`] and [`Result`]: a glob import of `Result` would shadow the
/// standard one.
pub mod prelude {
    pub use crate::{
        batch::Batch,
        loss::G2dLoss,
        modality::{Modality, PerModality},
        parameters::ModalityParams,
        probe::ImbalanceProbe,
        schedule::SmpScheduler,
        step::{EpochReport, StepOutcome, StepReport},
        student::{Features, Student},
        teacher::{Teacher, TeacherOutput},
        trainer::{G2dTrainer, evaluate, predict},
    };
}

/// Tests the code of docs/adopting.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/adopting.md")]
mod adopting {}

/// Tests the code of docs/baselines.md.
#[cfg(all(doctest, feature = "paper"))]
#[doc = include_str!("../docs/baselines.md")]
mod baselines_page {}

/// Tests the code of docs/checkpoints.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/checkpoints.md")]
mod checkpoints {}

/// Tests the code of docs/distributed.md.
#[cfg(all(doctest, feature = "distributed"))]
#[doc = include_str!("../docs/distributed.md")]
mod distributed_page {}

/// Tests the code of docs/export.md.
#[cfg(doctest)]
#[doc = include_str!("../docs/export.md")]
mod export_page {}
