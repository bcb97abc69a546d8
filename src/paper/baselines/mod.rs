//! Baselines: other methods that balance modalities.
//!
//! - [`Ogm`]: on-the-fly gradient modulation, OGM and OGM-GE, for [`G2dTrainer`](crate::G2dTrainer).
//! - The others are an [`Algorithm`](crate::algorithm::Algorithm) each, with settings of the authors'
//!   defaults: [`Agm`], [`Pmr`], [`MmPareto`], [`Mla`], [`ReconBoost`], [`Dgl`], [`InfoReg`], [`Lfm`],
//!   [`Opm`], [`GBlending`].
//! - [`SharedHead`], [`BoostHead`]: heads of [`Mla`] and [`ReconBoost`]; [`attributions`]: the Shapley values
//!   of [`Agm`].
//!
//! docs/baselines.md compares them.

mod agm;
mod attribution;
mod boost_head;
mod delegate;
mod dgl;
mod encoder_memory;
mod g_blending;
mod info_reg;
mod lfm;
mod mla;
mod mmpareto;
mod ogm;
mod opm;
mod pmr;
mod projection;
mod prototypes;
mod recon_boost;
mod saved_tensor;
mod settings;
mod shared_head;
mod stage_lr;
mod window;

pub use agm::{Agm, AgmClip, AgmCoefficients, AgmConfig, AgmScores};
pub use attribution::attributions;
pub use boost_head::BoostHead;
pub use dgl::{Dgl, DglConfig};
pub use g_blending::{BranchLosses, GBlending, GBlendingConfig};
pub use info_reg::{InfoReg, InfoRegConfig};
pub use lfm::{Lfm, LfmConfig, LfmWeight};
pub use mla::{Mla, MlaConfig, MlaFusion};
pub use mmpareto::{MmPareto, MmParetoConfig};
pub use ogm::Ogm;
pub use opm::{Opm, OpmConfig};
pub use pmr::{Pmr, PmrConfig};
pub use projection::MlaProjection;
pub use recon_boost::{ReconBoost, ReconBoostConfig};
pub use shared_head::SharedHead;
pub use stage_lr::StageLr;
pub use window::EpochWindow;
