#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![deny(unsafe_code)]

mod batch;
pub mod checkpoint;
mod diagnosis;
mod error;
mod file;
mod host;
mod layout;
mod libtorch;
mod loss;
mod mean;
pub mod metrics;
mod modality;
mod modulation;
mod number;
pub mod optim;
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
mod teaching;
mod trainer;
mod variables;
pub mod weights;

pub use batch::Batch;
pub use diagnosis::{
    Advice, Better, Diagnosis, Evidence, Finding, FindingKind, Metric, Thresholds,
};
pub use error::{Error, Mismatch, Result};
pub use file::Digest;
#[doc(hidden)]
pub use host::device_reads;
pub use layout::channels_last;
pub use loss::{
    Classification, Confidence, ConfidenceKind, Distillation, ExponentialError, FeatureReduction,
    G2dLoss, InverseError, Labels, LossInput, LossTerms, Regression, TrueClassProbability,
};
pub use modality::{Modality, PerModality};
pub use modulation::{GradientModulation, SeenGradients};
pub use params::ModalityParams;
pub use probe::{
    Absence, ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, ImbalanceProbe,
    LinearProbe, LossRatio, Measurement, ModalityGap, Observation, SeenTerms, Shapley,
    StudentConfidence, TeacherCka, UpdateRatio, Worth,
};
pub use projection::FeatureProjection;
pub use rows::Rows;
pub use smp::{
    Candidates, Joint, Partial, PerBatch, Plan, Progress, Ranking, Schedule, Sequential,
    SmpScheduler,
};
pub use state::State;
pub use student::Student;
pub use teacher::{
    CacheFile, CacheHeader, CacheIdentity, CachedTeacher, HostView, ModuleTeacher, ScriptOutput,
    Storage, Teacher, TeacherOutput, TorchScriptTeacher, UnimodalModel,
};
pub use teaching::{Keep, Taught, TeachingEpoch, UnimodalTrainer};
pub use trainer::{
    EpochReport, G2dTrainer, G2dTrainerBuilder, GradientScope, LossScale, LossScaling, NonFinite,
    NonFiniteSource, Precision, Predictions, Skipped, StepOutcome, StepReport, StepValues,
    SuppressedMode, Suppression, TrainerState, Window, evaluate, evaluate_teacher,
};

/// The code of the guide is tested.
#[cfg(doctest)]
#[doc = include_str!("../docs/adopting.md")]
mod adopting {}

/// So is that of the guide to checkpoints.
#[cfg(doctest)]
#[doc = include_str!("../docs/checkpoints.md")]
mod checkpoints {}

/// What most users import: the traits, the trainer and the common parts.
pub mod prelude {
    pub use crate::{
        Batch, CachedTeacher, Classification, Distillation, G2dLoss, G2dTrainer, ImbalanceProbe,
        Joint, Modality, ModalityParams, ModuleTeacher, Regression, Sequential, SmpScheduler,
        Student, Teacher, TorchScriptTeacher, UnimodalTrainer,
    };
}
