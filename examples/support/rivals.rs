//! The methods of other papers, each with one hyper-parameter of strength.

use anyhow::{Context, Result, bail};
use g2d::{
    ModalityParams, Student,
    algorithm::Algorithm,
    paper::baselines::{
        Agm, AgmConfig, BoostHead, Dgl, DglConfig, InfoReg, InfoRegConfig, Lfm, LfmConfig, Mla,
        MlaConfig, MlaProjection, MmPareto, MmParetoConfig, Pmr, PmrConfig, ReconBoost,
        ReconBoostConfig, SharedHead,
    },
};
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

use super::command_line::choice;

/// A method of another paper, an algorithm of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    Agm,
    Pmr,
    MmPareto,
    Mla,
    ReconBoost,
    Dgl,
    InfoReg,
    Lfm,
}

/// The strengths of the methods; the defaults are their authors'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub struct RivalConfig {
    /// α of AGM
    #[arg(long, default_value_t = 1.0, value_name = "ALPHA")]
    pub agm_alpha: f64,
    /// α of PMR
    #[arg(long, default_value_t = 1.0, value_name = "ALPHA")]
    pub pmr_alpha: f64,
    /// γ of MMPareto
    #[arg(long, default_value_t = 1.5, value_name = "GAMMA")]
    pub mmpareto_gamma: f64,
    /// Projection of MLA: as_run (none), as_written, current or previous
    #[arg(long, value_parser = choice::<MlaProjection>, default_value = "previous")]
    pub mla_projection: MlaProjection,
    /// w₁ of ReconBoost
    #[arg(long, default_value_t = 5.0, value_name = "WEIGHT")]
    pub recon_boost_weight: f64,
    /// Number of epochs of a phase of ReconBoost
    #[arg(long, default_value_t = 4, value_name = "EPOCHS")]
    pub recon_boost_epochs: u64,
    /// α of DGL
    #[arg(long, default_value_t = 4.0, value_name = "ALPHA")]
    pub dgl_alpha: f64,
    /// Factor on β of InfoReg
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub info_reg_beta: f64,
}

impl Default for RivalConfig {
    fn default() -> Self {
        Self {
            agm_alpha: 1.0,
            pmr_alpha: 1.0,
            mmpareto_gamma: 1.5,
            mla_projection: MlaProjection::Previous,
            recon_boost_weight: 5.0,
            recon_boost_epochs: 4,
            dgl_alpha: 4.0,
            info_reg_beta: 1.0,
        }
    }
}

/// The head that a method has for all modalities, in the student's `VarStore`.
pub enum RivalHead {
    None,
    Shared(SharedHead),
    Boost(BoostHead),
}

/// The unimodal heads that a method trains beside those of other modalities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RivalHeads {
    /// None, or those of its own head.
    None,
    /// The slices of the fusion, or heads beside one that has none.
    Slices,
    /// Heads beside the fusion.
    Own,
}

impl Rival {
    /// Returns whether the method can train `k` modalities; all need classes.
    pub fn supports(self, k: usize) -> bool {
        match self {
            Self::Pmr | Self::InfoReg => k == 2,
            Self::Agm => k <= 8,
            _ => true,
        }
    }

    /// The unimodal heads that it needs of the student.
    pub fn heads(self) -> RivalHeads {
        match self {
            Self::MmPareto => RivalHeads::Own,
            Self::InfoReg | Self::Lfm => RivalHeads::Slices,
            _ => RivalHeads::None,
        }
    }

    /// Registers the head that the method has for all modalities.
    pub fn head(self, vs: &VarStore, student: &dyn Student, classes: i64) -> Result<RivalHead> {
        let width = || {
            let shape = student.feature_shape(0).context("the student has no feature shape")?;
            let &[width] = shape.as_slice() else { bail!("features are not vectors: {shape:?}") };
            Ok(width)
        };
        let path = vs.root() / "shared";
        Ok(match self {
            Self::Mla => RivalHead::Shared(SharedHead::new(path, width()?, classes)?),
            Self::ReconBoost => {
                let width = width()?;
                RivalHead::Boost(BoostHead::new(path, width, (width / 2).max(1), classes)?)
            }
            _ => RivalHead::None,
        })
    }

    /// The algorithm, whose epochs have so many batches.
    pub fn algorithm(
        self,
        student: &dyn Student,
        params: ModalityParams,
        head: RivalHead,
        config: &RivalConfig,
        batches_per_epoch: u64,
    ) -> Result<Box<dyn Algorithm>> {
        Ok(match (self, head) {
            (Self::Agm, _) => {
                let config = AgmConfig { alpha: config.agm_alpha, ..AgmConfig::default() };
                Box::new(Agm::new(student, params, config)?)
            }
            (Self::Pmr, _) => {
                let config = PmrConfig { alpha: config.pmr_alpha, ..PmrConfig::default() };
                Box::new(Pmr::new(student, params, config)?)
            }
            (Self::MmPareto, _) => {
                let config = MmParetoConfig { gamma: config.mmpareto_gamma };
                Box::new(MmPareto::new(student, params, config)?)
            }
            (Self::Mla, RivalHead::Shared(head)) => {
                let projection = config.mla_projection;
                let batches_per_epoch = Some(batches_per_epoch);
                let config = MlaConfig { projection, batches_per_epoch, ..MlaConfig::default() };
                Box::new(Mla::new(student, params, head, config)?)
            }
            (Self::ReconBoost, RivalHead::Boost(head)) => {
                let config = ReconBoostConfig {
                    weight1: config.recon_boost_weight,
                    phase_epochs: config.recon_boost_epochs,
                    ..ReconBoostConfig::default()
                };
                Box::new(ReconBoost::new(student, params, head, config)?)
            }
            (Self::Mla | Self::ReconBoost, _) => bail!("the method has no head"),
            (Self::Dgl, _) => {
                let config = DglConfig { alpha: config.dgl_alpha, ..DglConfig::default() };
                Box::new(Dgl::new(student, params, config)?)
            }
            (Self::InfoReg, _) => {
                let mut own = InfoRegConfig::default();
                own.beta = own.beta.map(|beta| beta * config.info_reg_beta);
                Box::new(InfoReg::new(student, params, own)?)
            }
            (Self::Lfm, _) => Box::new(Lfm::new(student, params, LfmConfig::default())?),
        })
    }
}
