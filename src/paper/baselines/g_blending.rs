//! Gradient blending.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{delegate::session_methods, settings};
use crate::algorithm::{Algorithm, Computed, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::Student;

/// Settings of [`GBlending`]: the weights of the losses, which
/// [`from_losses`](Self::from_losses) estimates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GBlendingConfig {
    /// The weight of the fused loss.
    pub joint: f64,
    /// The weight of each modality's loss, in the student's order.
    pub unimodal: Vec<f64>,
}

/// The mean losses of a branch that was trained alone, before and after.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchLosses {
    /// On training data, before.
    pub train_before: f64,
    /// On validation data, before.
    pub validation_before: f64,
    /// On training data, after.
    pub train_after: f64,
    /// On validation data, after.
    pub validation_after: f64,
}

/// The least squared overfitting that a weight is divided by.
const LEAST_OVERFITTING: f64 = 1e-12;

impl BranchLosses {
    fn is_finite(&self) -> bool {
        let Self { train_before, validation_before, train_after, validation_after } = self;
        [train_before, validation_before, train_after, validation_after]
            .into_iter()
            .all(|loss| loss.is_finite())
    }

    /// max(G, 0) / O².
    fn merit(&self) -> f64 {
        let generalisation = self.validation_before - self.validation_after;
        let overfitting = (self.validation_after - self.train_after)
            - (self.validation_before - self.train_before);
        generalisation.max(0.0) / overfitting.powi(2).max(LEAST_OVERFITTING)
    }
}

impl GBlendingConfig {
    /// The weights w ∝ G/O² with the sum 1 from the losses of the branches: each modality alone with its
    /// own head, in the student's order, and all of them jointly. G is the decrease of the validation loss,
    /// O the increase of the gap between validation and training loss.
    ///
    /// A branch whose validation loss has increased has weight 0; if all have, all weights are equal.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a loss that is not finite.
    pub fn from_losses(joint: BranchLosses, unimodal: &[BranchLosses]) -> Result<Self> {
        let branches = || [&joint].into_iter().chain(unimodal);
        if !branches().all(BranchLosses::is_finite) {
            let found = format!("{joint:?}, {unimodal:?}");
            return Err(error::out_of_range("losses of the branches", "finite numbers", found));
        }
        let merits: Vec<f64> = branches().map(BranchLosses::merit).collect();
        let sum: f64 = merits.iter().sum();
        let weight = |merit: &f64| if sum > 0.0 { merit / sum } else { 1.0 / merits.len() as f64 };
        let weights: Vec<f64> = merits.iter().map(weight).collect();
        Ok(Self { joint: weights[0], unimodal: weights[1..].to_vec() })
    }
}

/// G-Blending: a weighted sum of the fused loss and the losses of each modality's own head,
/// w CE(z) + Σ w_m CE(z_m), with weights that favour what generalises.
///
/// This is the offline form: the weights are estimated once and constant. The student needs unimodal logits
/// ([`WithHeads`](crate::heads::WithHeads)). Any number of modalities and any fusion, one forward and one
/// backward pass, no state.
///
/// The authors publish weights (audio, visual, joint): Kinetics .014, .630, .356; AudioSet .239, .384, .377;
/// EPIC-Kitchens nouns .175, .460, .364, verbs .524, .247, .229. BalanceBenchmark's estimate takes |G| and
/// compares sums of losses over sets of different sizes.
///
/// Source: Wang et al., "What Makes Training Multi-modal Classification Networks Hard?", CVPR 2020;
/// weights: facebookresearch/VMZ 4cc542d, which has no estimator. The guards for G ≤ 0 are this crate's.
#[derive(Debug)]
pub struct GBlending {
    config: GBlendingConfig,
    session: Session,
}

impl GBlending {
    /// G-Blending of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a weight that is negative or not finite, for another
    /// number of weights than modalities, and as [`Session::new`].
    pub fn new(
        student: &dyn Student,
        params: ModalityParams,
        config: GBlendingConfig,
    ) -> Result<Self> {
        let session = Session::new("g_blending", student, params)?;
        let (found, modalities) = (config.unimodal.len(), session.modalities());
        if found != modalities.len() {
            let hint = "pass a weight for each modality, in the student's order";
            return Err(error::one_per_modality("weights of GBlending", modalities, found, hint));
        }
        for &weight in config.unimodal.iter().chain([&config.joint]) {
            settings::not_negative("weights of GBlending", weight)?;
        }
        Ok(Self { config, session })
    }
}

impl Algorithm for GBlending {
    session_methods!(stateless);

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let GBlendingConfig { joint, unimodal } = &self.config;
        self.session.step(student, batch, |pass| {
            let features = pass.encode_all(true)?;
            let logits = pass.fuse(&features, true)?;
            let task = pass.cross_entropy(&logits)?;
            let own = pass.all_unimodal_logits(&features)?;
            let losses = own.iter().map(|z| pass.cross_entropy(z)).collect::<Result<Vec<_>>>()?;
            let weighted = losses.iter().zip(unimodal).map(|(loss, weight)| loss * *weight);
            let total = &task * *joint + weighted.sum::<Tensor>();
            let gradients = pass.gradients(&total, false)?;
            pass.update(&gradients, optimizer)?;
            Ok(Computed::new(&total, &task, &logits).heads(&losses))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(train: [f64; 2], validation: [f64; 2]) -> BranchLosses {
        let ([train_before, train_after], [validation_before, validation_after]) =
            (train, validation);
        BranchLosses { train_before, validation_before, train_after, validation_after }
    }

    #[test]
    fn weights_are_generalisation_by_squared_overfitting() {
        // G = 0.5 and 0.25; O = 0.5 and 0.25: 2 and 4.
        let joint = branch([2.0, 1.0], [2.0, 1.5]);
        let one = branch([2.0, 1.5], [2.0, 1.75]);
        let config = GBlendingConfig::from_losses(joint, &[one]).unwrap();
        assert_eq!(config, GBlendingConfig { joint: 2.0 / 6.0, unimodal: vec![4.0 / 6.0] });
    }

    #[test]
    fn a_branch_that_gets_worse_has_no_weight() {
        let (worse, better) = (branch([2.0, 1.0], [2.0, 2.5]), branch([2.0, 1.0], [2.0, 1.5]));
        let config = GBlendingConfig::from_losses(worse, &[better]).unwrap();
        assert_eq!(config, GBlendingConfig { joint: 0.0, unimodal: vec![1.0] });
        let config = GBlendingConfig::from_losses(worse, &[worse]).unwrap();
        assert_eq!(config, GBlendingConfig { joint: 0.5, unimodal: vec![0.5] });
        assert!(GBlendingConfig::from_losses(branch([f64::NAN; 2], [1.0; 2]), &[better]).is_err());
    }
}
