#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod batch;
mod error;
mod host;
mod json;
mod libtorch;
mod loss;
mod mean;
pub mod metrics;
mod modality;
mod modulation;
#[cfg(feature = "paper")]
pub mod paper;
mod params;
mod parts;
mod probe;
mod projection;
pub mod record;
#[cfg(feature = "report")]
pub mod report;
mod rows;
mod smp;
mod state;
mod student;
mod teacher;
mod trainer;
pub mod weights;

pub use batch::Batch;
pub use error::{Error, Mismatch, Result};
pub use loss::{
    Classification, Confidence, Distillation, ExponentialError, FeatureReduction, G2dLoss,
    InverseError, Labels, LossInput, LossTerms, Regression, TrueClassProbability,
};
pub use modality::{Modality, PerModality};
pub use modulation::{GradientModulation, SeenGradients};
pub use params::ModalityParams;
pub use probe::{ConfidenceRatio, GradientNorm, ImbalanceProbe, Measurement, Observation};
pub use projection::FeatureProjection;
pub use rows::Rows;
pub use smp::{
    Candidates, Joint, Partial, PerBatch, Plan, Progress, Ranking, Sequential, SmpScheduler,
};
pub use state::State;
pub use student::Student;
pub use teacher::{CachedTeacher, HostView, ModuleTeacher, Teacher, TeacherOutput};
pub use trainer::{
    EpochReport, G2dTrainer, G2dTrainerBuilder, GradientScope, Predictions, StepReport, StepValues,
    Suppression, evaluate, evaluate_teacher,
};

/// What most users import: the traits, the trainer and the common parts.
pub mod prelude {
    pub use crate::{
        Batch, CachedTeacher, Classification, Distillation, G2dLoss, G2dTrainer, ImbalanceProbe,
        Joint, Modality, ModalityParams, ModuleTeacher, Regression, Sequential, SmpScheduler,
        Student, Teacher,
    };
}
