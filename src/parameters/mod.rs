//! The variables of a model by modality, and those of several `VarStore`s under full names.
//!
//! - [`ModalityParams`]: which parameters belong to which encoder.
//! - [`Stores`]: the variables of one `VarStore` or of several, an argument of many functions.

mod assign;
mod copies;
mod finite;
mod modality_params;
mod stores;
mod variables;

pub(crate) use assign::within;
pub(crate) use copies::TensorCopies;
pub use modality_params::ModalityParams;
pub(crate) use modality_params::Version;
pub use stores::Stores;
pub(crate) use variables::Variables;
