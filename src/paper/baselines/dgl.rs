//! Disentangled gradient learning.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::{delegate::session_methods, settings};
use crate::algorithm::{Algorithm, Computed, Session};
use crate::batch::Batch;
use crate::error::Result;
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::Student;

/// Settings of [`Dgl`]; the defaults are the authors'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DglConfig {
    /// α, the weight of the modalities' losses, by default 4.
    pub alpha: f64,
    /// The largest L2 norm of all gradients together, by default 40; `None` does not clip.
    pub clip_norm: Option<f64>,
}

impl Default for DglConfig {
    fn default() -> Self {
        Self { alpha: 4.0, clip_norm: Some(40.0) }
    }
}

/// DGL: encoders learn from their own losses alone, the fusion from the fused loss alone.
///
/// z is fused from detached features, z_m from the features of m with zeros in place of the others', with
/// the whole bias. Encoders receive the gradient of α Σ_m CE(z_m), all other parameters that of CE(z). Then
/// the gradients are clipped to [`clip_norm`](DglConfig::clip_norm).
///
/// Any number of modalities and any fusion. It runs each encoder once, the fusion k + 1 times, and has no
/// state. The authors train with lr 1e-3, batches of 64, 100 epochs, the rate × 0.1 at epoch 70.
///
/// The report's head terms are CE(z_m). Details: `logits` of each modality, z_m; `gradient_norm` before
/// clipping.
///
/// Source: "Boosting Multimodal Learning via Disentangled Gradient Learning", ICCV 2025;
/// shicaiwei123/ICCV2025-GDL b72a55f.
#[derive(Debug)]
pub struct Dgl {
    config: DglConfig,
    session: Session,
}

impl Dgl {
    /// DGL of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, and as [`Session::new`].
    pub fn new(student: &dyn Student, params: ModalityParams, config: DglConfig) -> Result<Self> {
        settings::not_negative("alpha of Dgl", config.alpha)?;
        config.clip_norm.map_or(Ok(()), |norm| settings::positive("clip_norm of Dgl", norm))?;
        Ok(Self { config, session: Session::new("dgl", student, params)? })
    }
}

impl Algorithm for Dgl {
    session_methods!(stateless);

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let DglConfig { alpha, clip_norm } = self.config;
        self.session.step(student, batch, |pass| {
            let features = pass.encode_all(true)?;
            let detached: Vec<Tensor> = features.iter().map(Tensor::detach).collect();
            let logits = pass.fuse(&detached, true)?;
            let task = pass.cross_entropy(&logits)?;
            let unimodal = (0..features.len()).map(|m| pass.fuse(&alone(&features, m)?, true));
            let unimodal = unimodal.collect::<Result<Vec<_>>>()?;
            let losses = unimodal.iter().map(|z| pass.cross_entropy(z));
            let losses = losses.collect::<Result<Vec<_>>>()?;
            let own = losses.iter().sum::<Tensor>() * alpha;

            let mut gradients = pass.gradients_where(&own, false, |p| p.modality.is_some())?;
            gradients.add(&pass.gradients_where(&task, false, |p| p.modality.is_none())?)?;
            let norm = match clip_norm {
                Some(clip_norm) => gradients.clip_norm(clip_norm)?,
                None => gradients.norm()?,
            };
            pass.update(&gradients, optimizer)?;
            Ok(Computed::new(&(&task + own), &task, &logits)
                .heads(&losses)
                .each("logits", pass.modalities(), &unimodal)
                .detail("gradient_norm", &norm))
        })
    }
}

/// The features of modality `m`, with zeros for those of the others.
fn alone(features: &[Tensor], m: usize) -> Result<Vec<Tensor>> {
    let each = features.iter().enumerate();
    let each =
        each.map(|(o, own)| if o == m { Ok(own.shallow_clone()) } else { own.f_zeros_like() });
    Ok(each.collect::<std::result::Result<_, TchError>>()?)
}
