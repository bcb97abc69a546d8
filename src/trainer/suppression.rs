//! How κ acts on an encoder.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    error::{Error, Result},
    parameters::ModalityParams,
    schedule::Plan,
    step::MicroBatch,
};

/// What a κ below 1 does to its encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppression {
    /// The paper's equation θ^m ← θ^m − η κ^m ∂L/∂θ^m with κ^m = 0 leaves θ^m as it is.
    ///
    /// κ = 0: the encoder runs without gradient, costs no backward and keeps no activations, and its
    /// parameters' gradients are undefined after the step, whatever they were before: no optimizer
    /// moves them. 0 < κ < 1: its gradient is scaled by κ. [`SuppressedMode`] says whether its running
    /// statistics still move.
    ///
    /// Where gradients accumulate, what an encoder learnt from earlier micro-batches of the window
    /// stays: its gradient is made undefined at the window's first micro-batch alone.
    #[default]
    SkipBackward,
    /// What the authors' code does: after a full backward the gradient is multiplied by κ. A zero
    /// gradient is still a gradient: momentum and weight decay go on moving "frozen" weights.
    ///
    /// It multiplies whatever has accumulated: zero the gradients before every step.
    ZeroGradient(GradientScope),
}

/// Which parameters of an encoder [`Suppression::ZeroGradient`] scales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientScope {
    /// All of them.
    #[default]
    All,
    /// Those with four dimensions (2-D convolutions' weights) only, as in the authors' code: batch
    /// norm's scale and bias go on learning.
    FourDimensional,
}

/// How an encoder runs that κ = 0 keeps outside the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressedMode {
    /// As in training, like the authors' code: batch norm takes the batch's statistics and goes on
    /// moving its running ones, dropout drops.
    #[default]
    Train,
    /// As in evaluation: nothing of the encoder changes, buffers included.
    Evaluation,
}

impl Suppression {
    /// Returns whether an encoder of this κ runs without gradient.
    pub(super) fn detaches(self, kappa: f64) -> bool {
        self == Self::SkipBackward && kappa == 0.0
    }

    /// Limits the gradient that flows back into an encoder's features to the share κ.
    pub(super) fn gate(self, features: Tensor, kappa: f64) -> Result<Tensor> {
        match self {
            Self::SkipBackward if kappa == 0.0 => Ok(features.detach()),
            Self::SkipBackward if kappa < 1.0 => scaled(&features, kappa),
            _ => Ok(features),
        }
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
                Self::SkipBackward => {}
                Self::ZeroGradient(_) if kappa == 1.0 => {}
                Self::ZeroGradient(scope) => scale(params, m, kappa, scope)?,
            }
        }
        Ok(())
    }
}

/// x in value, κ·∂x in gradient: x₀ + κ·(x − x₀) with x₀ = x outside the graph.
fn scaled(features: &Tensor, kappa: f64) -> Result<Tensor> {
    let fixed = features.detach();
    let gated = features.f_sub(&fixed).and_then(|zero| fixed.f_add(&(zero * kappa)));
    gated.map_err(|source| Error::torch("scale an encoder's gradient", source))
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
