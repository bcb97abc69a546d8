//! Networks: encoders, fusions, and the classifiers made of them.
//!
//! - [`Backbone`]: which encoder, [`Encoder`] (compact) or [`ResNet18`] (the paper's).
//! - [`FusionKind`]: which of the five fusions, each a [`Fusion`].
//! - [`Initialisation`]: how weights start.
//! - [`FusionClassifier`]: encoders and a fusion, the student; [`ClassifierConfig`] chooses.
//! - [`UnimodalClassifier`]: an encoder and a head, the teacher before it is frozen.
//! - [`MixedNetwork`] and [`UnimodalNetwork`]: the same over modalities of different kinds (images,
//!   tables, sequences) and feature widths, for regression or classification; [`MixedConfig`] and
//!   [`EncoderConfig`] choose.
//!
//! Parameters of the classifiers carry the authors' names, so [`weights`](crate::weights) go both ways.

mod backbone;
mod conv_norm;
mod encoder;
mod fusion;
mod init;
mod mixed;
mod resnet18;
mod student;
mod teacher;

pub use backbone::Backbone;
pub use encoder::Encoder;
pub use fusion::{
    ConcatFusion, FilmFusion, Fusion, FusionKind, GatedFusion, LateFusion, SumFusion,
};
pub use init::Initialisation;
pub use mixed::{
    EncoderConfig, FrozenNetwork, ImageBackbone, ImageConfig, MixedConfig, MixedFusion,
    MixedNetwork, MlpConfig, MlpLayer, SequenceConfig, UnimodalNetwork,
};
pub use resnet18::ResNet18;
pub use student::{ClassifierConfig, DistilledFeatures, FusionClassifier, UnimodalLogits};
pub use teacher::{UnimodalClassifier, UnimodalTeacher};
