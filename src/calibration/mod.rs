//! Calibration on validation data: temperatures of the teachers, the weights of a late fusion, and the
//! predictions of a trained student.
//!
//! All of it is for one class label per sample, computes in `Double` in host memory ([`late_fusion`]
//! excepted, which is part of a network), and trains no network.
//!
//! - [`Calibration`]: the temperature t_m, the information and the accuracy of each teacher, and what
//!   follows from them: fusion weights, term weights, the calibrated ensemble, a ranking.
//! - [`FusionWeights`], [`late_fusion`]: z = Σ_m w_m z_m, over the modalities that a sample has.
//! - [`Prediction`]: how a trained student's logits and unimodal heads become a prediction: fused logits,
//!   a mixture of both, or robustly calibrated heads, whichever validation data prefer.

mod fusion;
mod heads;
mod margins;
mod mixture;
mod prediction;
mod ranges;
mod robust;
mod search;
mod teachers;
mod temperature;

pub use fusion::{FusionWeights, late_fusion};
pub use mixture::Mixture;
pub use prediction::Prediction;
pub use robust::{Robust, RobustHead};
pub use teachers::{Calibration, TeacherCalibration};
pub use temperature::Temperature;
