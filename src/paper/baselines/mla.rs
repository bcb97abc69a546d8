//! Multimodal learning with alternating unimodal adaptation.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::{
    delegate::session_methods,
    projection::{MlaProjection, Projection},
    saved_tensor::SavedTensor,
    shared_head::SharedHead,
};
use crate::algorithm::{Algorithm, Computed, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::{Features, Student};
use crate::trainer::ResumeState;

/// Settings of [`Mla`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlaConfig {
    /// The projection of the head's gradient, by default [`MlaProjection::Previous`].
    pub projection: MlaProjection,
    /// The number of batches in an epoch, over which α of the projection decreases. A projection needs it;
    /// `None` by default.
    pub batches_per_epoch: Option<u64>,
    /// The prediction, by default [`MlaFusion::Dynamic`].
    pub fusion: MlaFusion,
}

/// The prediction of [`Mla`] from the logits z_m.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MlaFusion {
    /// Σ w_m z_m with w_m ∝ exp(−e_m), where e_m is the entropy of σ(z_m), for each sample.
    #[default]
    Dynamic,
    /// The authors' code of the same: the softmax is over the batch and e_m one number of it, so that a
    /// prediction depends on the batch.
    DynamicAsWritten,
    /// Fixed weights, in the student's order. The authors' default is 0.55 audio and 0.45 visual; of three
    /// modalities 0.35 audio, 0.25 visual and 0.4 text.
    Fixed(Vec<f64>),
}

/// MLA: the modalities take turns within a batch to train a head that they share.
///
/// Encoders run once per batch, in training mode. For one modality after the other, the loss CE(head(f_m))
/// updates its encoder and the head, which the next turn then uses; the gradient of the head's weight is
/// projected ([`MlaProjection`]). Other encoders have no gradient and do not move. There is no fused loss.
///
/// The head is this algorithm's, a [`SharedHead`] in the model's `VarStore`, made before `params`; the
/// student's fusion is not used. Any number of modalities, whose features have one width. k backward passes
/// and k updates per step. The state is P, r and the number of turns. The authors train with lr 1e-3,
/// batches of 64, 100 epochs, the rate × 0.1 at epoch 70.
///
/// The loss of the report is the mean over the turns, its head terms CE of each turn, and its logits those
/// of the prediction rule on the training batch. Details of each modality, from its turn: `logits`;
/// `mean_feature` r; `gradient_norm_head` before the projection; `alpha`; `projection` P.
///
/// A step whose later turn fails has made the updates of the earlier ones.
///
/// Source: Zhang et al., "Multimodal Representation Learning by Alternating Unimodal Adaptation", CVPR 2024;
/// Cecile-hi/Multimodal-Learning-with-Alternating-Unimodal-Adaptation ab6c184.
#[derive(Debug)]
pub struct Mla {
    config: MlaConfig,
    session: Session,
    head: SharedHead,
    projection: Projection,
}

/// The state in a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MlaState {
    matrix: Option<SavedTensor>,
    previous: Option<SavedTensor>,
    turns: u64,
}

impl Mla {
    /// MLA of `student`, whose parameters are `params`, among them those of `head`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, a head of two layers together
    /// with a projection, a head whose parameters are not in `params`, and as [`Session::new`].
    pub fn new(
        student: &dyn Student,
        params: ModalityParams,
        head: SharedHead,
        config: MlaConfig,
    ) -> Result<Self> {
        let session = Session::new("mla", student, params)?;
        let (k, names) = (session.modalities().len(), session.modalities());
        if let MlaFusion::Fixed(weights) = &config.fusion {
            let valid = |weight: &f64| weight.is_finite() && *weight >= 0.0;
            if weights.len() != k {
                let hint = "pass a weight for each modality, in the student's order";
                return Err(error::one_per_modality(
                    "weights of MlaFusion",
                    names,
                    weights.len(),
                    hint,
                ));
            }
            if !weights.iter().all(valid) {
                let found = format!("{weights:?}");
                return Err(error::out_of_range("weights of MlaFusion", "finite and ≥ 0", found));
            }
        }
        if config.projection != MlaProjection::AsRun && !head.is_linear() {
            let hint = "use `SharedHead::new`, or `MlaProjection::AsRun`";
            return Err(error::config(
                "shared head of Mla",
                "one linear layer",
                "two layers",
                hint,
            ));
        }
        head.check_known(&session)?;
        let batches = config.batches_per_epoch;
        if config.projection != MlaProjection::AsRun && batches.is_none_or(|batches| batches == 0) {
            let found = format!("{batches:?}");
            let expected = "the number of batches in an epoch, at least 1";
            let hint = "set it, or choose `MlaProjection::AsRun`";
            return Err(error::config("batches_per_epoch of Mla", expected, found, hint));
        }
        Ok(Self { projection: Projection::new(config.projection), config, session, head })
    }

    /// The projection P [d, d]; `None` before the first turn with one.
    pub fn projection(&self) -> Option<&Tensor> {
        self.projection.matrix()
    }

    fn each(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        features.iter().map(|own| self.head.forward(own)).collect()
    }
}

impl Algorithm for Mla {
    session_methods!();

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let Self { config, session, head, projection } = self;
        let k = session.modalities().len();
        let of_head = head.weight().data_ptr();
        let mut moved = projection.clone();
        let report = session.step(student, batch, |pass| {
            let batches = config.batches_per_epoch.unwrap_or(1).max(1) as f64;
            let alpha = 0.1_f64.powf(pass.at().step as f64 / batches + 1.0);
            let features = pass.encode_vectors(true)?;
            let (mut logits, mut losses) = (Vec::new(), Vec::new());
            let (mut means, mut norms, mut matrices) = (Vec::new(), Vec::new(), Vec::new());
            for (m, own) in features.iter().enumerate() {
                let z = head.forward(own)?;
                let loss = pass.cross_entropy(&z)?;
                let learns = |owner: Option<usize>| owner.is_none_or(|owner| owner == m);
                let mut gradients =
                    pass.gradients_where(&loss, m + 1 < k, |p| learns(p.modality))?;
                norms.push(head.gradient_norm(&gradients)?);
                let mean = own.detach().f_mean_dim([0_i64].as_slice(), false, None::<Kind>)?;
                if let Some(matrix) = moved.turn(&mean, alpha)? {
                    gradients.replace(|parameter, gradient| {
                        let is_head = parameter.tensor.data_ptr() == of_head;
                        is_head.then(|| Ok(gradient.f_mm(&matrix.f_tr()?)?)).transpose()
                    })?;
                }
                pass.update(&gradients, optimizer)?;
                matrices.extend(moved.matrix().map(Tensor::shallow_clone));
                logits.push(z.detach());
                losses.push(loss.detach());
                means.push(mean);
            }
            let names = pass.modalities();
            let total: Tensor = losses.iter().sum::<Tensor>() / k as f64;
            let fused = config.fusion.fuse(&logits)?;
            let alphas = vec![alpha; k];
            Ok(Computed::new(&total, &total, &fused)
                .heads(&losses)
                .each("logits", names, &logits)
                .each("mean_feature", names, &means)
                .each("gradient_norm_head", names, &norms)
                .each("projection", names, &matrices)
                .numbers("alpha", names, &alphas))
        })?;
        *projection = moved;
        Ok(report)
    }

    fn logits(&self, _student: &dyn Student, features: &Features<'_>) -> Result<Tensor> {
        self.config.fusion.fuse(&self.each(features)?)
    }

    fn unimodal_logits(
        &self,
        _student: &dyn Student,
        m: usize,
        features: &Features<'_>,
    ) -> Result<Option<Tensor>> {
        self.head.forward(&features[m]).map(Some)
    }

    fn state(&mut self) -> Result<ResumeState> {
        let saved = |tensor: Option<&Tensor>| tensor.map(SavedTensor::new).transpose();
        self.session.state(&MlaState {
            matrix: saved(self.projection.matrix())?,
            previous: saved(self.projection.previous())?,
            turns: self.projection.turns(),
        })
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        let (like, kind) = (self.head.weight(), self.config.projection);
        let mut restored = None;
        self.session.restore(state, |own: &MlaState| {
            let tensor = |saved: &Option<SavedTensor>| {
                saved.as_ref().map(|saved| saved.tensor(like)).transpose()
            };
            let (matrix, previous) = (tensor(&own.matrix)?, tensor(&own.previous)?);
            let d = like.size()[1];
            let fits = matrix.as_ref().is_none_or(|matrix| matrix.size() == [d, d])
                && previous.as_ref().is_none_or(|previous| previous.size() == [d])
                && (kind != MlaProjection::AsRun || matrix.is_none());
            if !fits {
                let expected = format!("that of {kind:?} for features of width {d}");
                return Err(error::foreign_state("projection of Mla", expected, "another one"));
            }
            restored = Some(Projection::from_parts(kind, matrix, previous, own.turns));
            Ok(())
        })?;
        self.projection = restored.unwrap_or_else(|| Projection::new(kind));
        Ok(())
    }
}

impl MlaFusion {
    /// Σ w_m z_m, [B, C], of logits z_m [B, C].
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) for logits of different shapes.
    pub fn fuse(&self, logits: &[Tensor]) -> Result<Tensor> {
        let (weights, _) = self.weights(logits)?;
        let stacked = Tensor::f_stack(logits, 1)?; // [B, k, C]
        Ok(stacked.f_mul(&weights.f_unsqueeze(-1)?)?.f_sum_dim_intlist(1, false, None::<Kind>)?)
    }

    /// The weights w [B, k], and the entropies e [B, k] that they follow from unless they are fixed; one row
    /// for [`DynamicAsWritten`](Self::DynamicAsWritten).
    ///
    /// # Errors
    /// As [`fuse`](Self::fuse).
    pub fn weights(&self, logits: &[Tensor]) -> Result<(Tensor, Tensor)> {
        let over_batch = *self == Self::DynamicAsWritten;
        let entropy = |z: &Tensor| {
            let log = z.f_log_softmax(if over_batch { 0 } else { 1 }, None)?;
            let terms = log.f_exp()?.f_mul(&log)?.f_neg()?;
            match over_batch {
                true => terms.f_sum(terms.kind())?.f_reshape(1),
                false => terms.f_sum_dim_intlist(1, false, None::<Kind>),
            }
        };
        let entropies = logits.iter().map(entropy);
        let entropies = entropies.collect::<std::result::Result<Vec<_>, TchError>>()?;
        let entropies = Tensor::f_stack(&entropies, 1)?;
        let weights = match self {
            Self::Fixed(weights) => {
                let weights = Tensor::f_from_slice(weights)?.f_unsqueeze(0)?;
                weights.f_to_kind(entropies.kind())?.f_to_device(entropies.device())?
            }
            Self::Dynamic | Self::DynamicAsWritten => entropies.f_neg()?.f_softmax(1, None)?,
        };
        Ok((weights, entropies))
    }
}
