//! Baselines: other methods that balance modalities.
//!
//! - [`Ogm`]: on-the-fly gradient modulation, OGM and OGM-GE, for [`G2dTrainer`](crate::G2dTrainer).
//! - The others are an [`Algorithm`](crate::algorithm::Algorithm) each, with settings of the authors'
//!   defaults: [`Dgl`], [`MmPareto`].
//!
//! docs/baselines.md compares them.

mod agm;
mod attribution;
mod delegate;
mod dgl;
mod g_blending;
mod mmpareto;
mod ogm;
mod settings;
mod shared_head;
mod window;

pub use agm::{Agm, AgmClip, AgmCoefficients, AgmConfig, AgmScores};
pub use attribution::attributions;
pub use dgl::{Dgl, DglConfig};
pub use g_blending::{BranchLosses, GBlending, GBlendingConfig};
pub use mmpareto::{MmPareto, MmParetoConfig};
pub use ogm::Ogm;
pub use shared_head::SharedHead;
pub use window::EpochWindow;
