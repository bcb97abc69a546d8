//! κ applied to an encoder: to its features before backward, to its gradients after it.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::error::{Error, Result};
use crate::parameters::ModalityParams;
use crate::schedule::Plan;
use crate::step::MicroBatch;

/// The effect of a κ below 1 on an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// The paper's update θ^m ← θ^m − η κ^m ∂L/∂θ^m: κ^m = 0 leaves θ^m unchanged.
    ///
    /// With κ = 0 the encoder runs without gradient, so it costs no backward and stores no activations,
    /// and the gradients of its parameters are undefined after the step, whatever they were before: no
    /// optimizer changes them. With 0 < κ < 1 the gradient that it gets through its features is scaled by κ.
    /// [`SuppressedMode`] decides whether its buffers change.
    ///
    /// Parameters of the encoder that [`Student::fuse`](crate::Student::fuse) uses are constants there with
    /// κ = 0; with 0 < κ < 1 their gradient is not scaled.
    ///
    /// In an accumulation window the gradients are made undefined at the first micro-batch only, so
    /// that what an encoder learned from earlier micro-batches stays.
    #[default]
    SkipBackward,
    /// The authors' code: a full backward, after which the gradient is multiplied by κ. A zero gradient
    /// is defined, so momentum and weight decay still change the weights of a suppressed encoder.
    ///
    /// It multiplies the accumulated gradient: zero the gradients before every step.
    ZeroGradient(GradientScope),
    /// κ^m scales only what passes through the fusion: the gradient that the fused loss (L_S, L_logit,
    /// L_ens) sends to encoder m. The feature and head terms always train the encoder, so that no modality
    /// starves while another leads. Combine it with [`Distillation::balanced`].
    ///
    /// Heads are trained by the fused loss too where the fusion contains them.
    ///
    /// [`Distillation::balanced`]: crate::loss::Distillation::balanced
    FusedLoss,
}

/// The parameters of an encoder whose gradients are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientScope {
    /// All parameters.
    #[default]
    All,
    /// Parameters with four dimensions (weights of 2-D convolutions), as in the authors' code: scale
    /// and bias of batch norm still learn.
    FourDimensional,
}

/// The mode of an encoder that runs without gradient because κ = 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressedMode {
    /// Training mode, as in the authors' code: batch norm normalises by the batch and updates its
    /// running statistics, and dropout is active.
    #[default]
    Train,
    /// Evaluation mode: nothing of the encoder changes, buffers included.
    Evaluation,
    /// Evaluation mode, and the features are kept by sample id until the encoder learns or one of its
    /// variables changes, so that a stage in which others learn computes them once. Equal to [`Evaluation`](Self::Evaluation)
    /// up to rounding, since a sample is encoded beside other samples than in a later batch.
    ///
    /// Batches need ids ([`Batch::with_ids`](crate::Batch::with_ids)), and the input of a sample must be the
    /// same in every epoch. Another input of the same id, as random augmentation makes it, is
    /// [`Error::Cache`]; on a device other than the CPU, where that would synchronise, it makes the
    /// features, and so the loss, NaN. Every variable that the encoder reads must belong to it.
    ///
    /// The features stay in the memory of their device. They are not part of a checkpoint.
    Cached,
}

impl Suppression {
    /// Returns whether an encoder of this κ runs without gradient.
    pub(super) fn detaches(self, kappa: f64) -> bool {
        self == Self::SkipBackward && kappa == 0.0
    }

    /// Makes constants of the parameters of encoders that run without gradient, until the returned value is
    /// dropped. A layer of the encoder that the fusion uses has no gradient then either.
    pub(super) fn freeze(self, plan: &Plan, params: &ModalityParams) -> Result<Frozen> {
        let suppressed = (0..).zip(plan.kappa()).filter(|(_, kappa)| self.detaches(**kappa));
        let all = suppressed.flat_map(|(m, _)| params.encoder(m)).map(|(_, tensor)| tensor);
        let mut frozen = Frozen(Vec::new());
        for tensor in all.filter(|tensor| tensor.requires_grad()) {
            set_requires_grad(tensor, false)?;
            frozen.0.push(tensor.shallow_clone());
        }
        Ok(frozen)
    }

    /// Limits the gradient that flows back into an encoder from all of its features' uses to the share κ.
    pub(super) fn gate_encoder(self, features: Tensor, kappa: f64) -> Result<Tensor> {
        if self == Self::SkipBackward && kappa < 1.0 {
            gate(&features, kappa)
        } else {
            Ok(features)
        }
    }

    /// Limits the gradients that flow back from the fusion to the shares κ; `None` where they are not
    /// limited.
    pub(super) fn gate_fusion(
        self,
        features: &[Tensor],
        kappa: &[f64],
    ) -> Result<Option<Vec<Tensor>>> {
        if self != Self::FusedLoss {
            return Ok(None);
        }
        let gated = features.iter().zip(kappa).map(|(features, &kappa)| gate(features, kappa));
        gated.collect::<Result<_>>().map(Some)
    }

    /// Applies κ to the gradients after backward.
    pub(super) fn apply(
        self,
        plan: &Plan,
        params: &ModalityParams,
        micro_batch: MicroBatch,
    ) -> Result<()> {
        for (m, &kappa) in plan.kappa().iter().enumerate() {
            match self {
                Self::SkipBackward if kappa == 0.0 && micro_batch.is_first() => {
                    params.clear_gradients(m)?
                }
                Self::SkipBackward | Self::FusedLoss => {}
                Self::ZeroGradient(_) if kappa == 1.0 => {}
                Self::ZeroGradient(scope) => scale(params, m, kappa, scope)?,
            }
        }
        Ok(())
    }
}

/// Parameters that require gradients again when this is dropped, also in unwinding.
#[must_use = "the parameters are constants until this is dropped"]
pub(super) struct Frozen(Vec<Tensor>);

impl Drop for Frozen {
    fn drop(&mut self) {
        for tensor in &self.0 {
            // It cannot fail: these are leaves that required gradients before.
            let _ = set_requires_grad(tensor, true);
        }
    }
}

fn set_requires_grad(tensor: &Tensor, required: bool) -> Result<()> {
    let set = tensor.f_set_requires_grad(required);
    set.map(drop).map_err(|e| Error::torch("set whether a parameter requires gradients", e))
}

/// `features` with the gradient limited to the share κ.
fn gate(features: &Tensor, kappa: f64) -> Result<Tensor> {
    match kappa {
        0.0 => Ok(features.detach()),
        _ if kappa < 1.0 => scaled(features, kappa),
        _ => Ok(features.shallow_clone()),
    }
}

/// `features` with the gradient scaled by κ: x₀ + κ·(x − x₀), where x₀ is x detached.
fn scaled(features: &Tensor, kappa: f64) -> Result<Tensor> {
    let fixed = features.detach();
    let scaled = features.f_sub(&fixed).and_then(|zero| fixed.f_add(&(zero * kappa)));
    scaled.map_err(|source| Error::torch("scale an encoder's gradient", source))
}

/// Multiplies the gradients of encoder `m` in `scope` by κ, in place.
fn scale(params: &ModalityParams, m: usize, kappa: f64, scope: GradientScope) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    for mut gradient in params.gradients(m) {
        if scope == GradientScope::FourDimensional && gradient.dim() != 4 {
            continue;
        }
        let kappa = Tensor::from(kappa).to_kind(gradient.kind());
        let _ =
            gradient.f_mul_(&kappa).map_err(|source| Error::torch("scale a gradient", source))?;
    }
    Ok(())
}
