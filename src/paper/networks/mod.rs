//! Networks of the paper's experiments: students, teachers, and what they consist of.
//!
//! - [`FusionClassifier`] (the student) and [`UnimodalClassifier`] (a teacher): the authors'
//!   classifiers of images and videos. [`ClassifierConfig`] selects a [`Backbone`], a [`FusionKind`]
//!   and an [`Initialisation`]. The parameters have the authors' names, so that
//!   [`weights`](crate::weights) exchanges files with PyTorch in both directions.
//! - [`MixedNetwork`] (the student) and [`UnimodalNetwork`] (a teacher): regression or classification
//!   of images, tables and sequences, whose features may differ in width. [`MixedConfig`] lists an
//!   [`EncoderConfig`] per modality and a [`MixedFusion`].

mod backbone;
mod classifier;
mod compact;
mod conv_norm;
mod convolution;
mod encoder;
mod fusion;
mod init;
mod mixed;
mod resnet18;

pub use backbone::Backbone;
pub use classifier::{
    ClassifierConfig, DistilledFeatures, FusionClassifier, UnimodalClassifier, UnimodalLogits,
};
pub use fusion::{FusionKind, MixedFusion};
pub use init::Initialisation;
pub use mixed::{
    EncoderConfig, ImageBackbone, ImageConfig, MixedConfig, MixedNetwork, MlpConfig, MlpLayer,
    SequenceConfig, UnimodalNetwork,
};
