//! On-the-fly gradient modulation.

use std::ops::RangeInclusive;

use rand::Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use super::EpochWindow;
use crate::error::{self, Error, Result};
use crate::loss::{Classification, G2dLoss};
use crate::modality::Modality;
use crate::modulation::Modulate;
use crate::paper::random::generator;
use crate::state::State;
use crate::step::Observation;
use crate::trainer::GradientScope;

/// OGM: slows the encoders whose unimodal logits are better than those of the other modalities.
///
/// s^m = Σ σ(unimodal logits of m)\[y\] over the batch, ratio^m = s^m / mean of the other s;
/// κ^m = 1 − tanh(α · ratio^m) if ratio^m > 1, else 1. For two modalities these are the authors'
/// formulas, except that equal scores slow no modality here and the first one there. The gradients of
/// the encoders' parameters are multiplied by κ^m; as in the authors' code, only those of
/// four-dimensional parameters.
///
/// OGM-GE ([`with_noise`](Self::with_noise)) then adds N(0, std(g) + 1e-8) to the gradient g of each
/// of these parameters, in every encoder; std is that of the gradient before scaling.
///
/// The scores require single-label targets and
/// [`Student::unimodal_logits`](crate::Student::unimodal_logits). Reading them synchronises with the
/// device once per step. Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient
/// Modulation", CVPR 2022.
///
/// # Example
/// ```
/// use g2d::{G2dTrainer, loss::{Classification, Distillation}, paper::baselines::Ogm};
///
/// let builder = G2dTrainer::builder(Classification::new(Distillation::none()))
///     .modulation(Ogm::new(1.0, 0..=150).with_noise(999));
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ogm {
    alpha: f64,
    window: EpochWindow,
    #[serde(default = "authors_scope")]
    scope: GradientScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    noise_seed: Option<u64>,
    /// Number of noise tensors drawn, each from a random stream of its own: the whole state.
    #[serde(skip)]
    noise_drawn: u64,
}

fn authors_scope() -> GradientScope {
    GradientScope::FourDimensional
}

impl Ogm {
    /// OGM with strength α > 0 (1 in the authors' code) in the epochs of `window`.
    pub fn new(alpha: f64, window: RangeInclusive<u64>) -> Self {
        Self {
            alpha,
            window: window.into(),
            scope: authors_scope(),
            noise_seed: None,
            noise_drawn: 0,
        }
    }

    /// OGM-GE, with noise from a generator that is seeded with `seed`.
    ///
    /// The noise is drawn on the host, one number for each element of a gradient in scope.
    pub fn with_noise(mut self, seed: u64) -> Self {
        self.noise_seed = Some(seed);
        self
    }

    /// Sets which gradients are modulated; four-dimensional ones by default.
    pub fn scope(mut self, scope: GradientScope) -> Self {
        self.scope = scope;
        self
    }

    /// κ of modalities with these scores.
    fn kappa(&self, scores: &[f64]) -> Vec<f64> {
        let sum: f64 = scores.iter().sum();
        let others = (scores.len() - 1) as f64;
        let kappa = |&score: &f64| {
            let ratio = score / ((sum - score) / others);
            if ratio > 1.0 { 1.0 - (self.alpha * ratio).tanh() } else { 1.0 }
        };
        scores.iter().map(kappa).collect()
    }

    /// g ← κ·g + noise, in place.
    fn modulate_gradient(
        &mut self,
        gradient: &mut Tensor,
        kappa: f64,
    ) -> std::result::Result<(), TchError> {
        let noise = match self.noise_seed {
            Some(seed) if gradient.numel() > 1 => {
                self.noise_drawn += 1;
                let normal = normal_like(gradient, [seed, self.noise_drawn - 1])?;
                Some(normal * (gradient.f_std(true)? + 1e-8))
            }
            _ => None,
        };
        let _ = gradient.f_mul_(&Tensor::from(kappa).f_to_kind(gradient.kind())?)?;
        if let Some(noise) = noise {
            let _ = gradient.f_add_(&noise)?;
        }
        Ok(())
    }
}

/// A tensor of N(0, 1) with shape, dtype and device of `like`, equal for equal seeds on every device.
fn normal_like(like: &Tensor, seed: [u64; 2]) -> std::result::Result<Tensor, TchError> {
    let normal = generator([seed[0], seed[1], 0, 0]).sample_iter(StandardNormal);
    let values: Vec<f32> = normal.take(like.numel()).collect();
    let noise = Tensor::f_from_slice(&values)?.f_view(like.size().as_slice())?;
    noise.f_to_device(like.device())?.f_to_kind(like.kind())
}

/// The mean true-class probability by the unimodal logits of every modality in `present`, over the
/// samples that have it.
fn scores(step: &Observation<'_>, present: &[usize]) -> Result<Vec<f64>> {
    let loss = Classification::default();
    let score = |&m: &usize| -> Result<Tensor> {
        let logits = step.unimodal_logits(m)?.ok_or_else(|| {
            let modality = &step.modalities()[m];
            let expected = format!("a student with unimodal logits of modality {modality:?}");
            let hint = "implement `Student::unimodal_logits`, or use a fusion that has them";
            error::config("gradient modulation", expected, "none", hint)
        })?;
        let targets = step.targets(m)?;
        loss.check_targets(&logits.size(), &targets)?;
        loss.confidence(&logits, &targets)
    };
    let scores = present.iter().map(score).collect::<Result<Vec<_>>>()?;
    tracing::trace!(target: "g2d::sync", scalars = scores.len(), "reads unimodal scores");
    let scores = Tensor::f_stack(&scores, 0)
        .and_then(|scores| scores.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double))
        .and_then(Vec::<f64>::try_from)
        .map_err(|source| Error::torch("read unimodal scores", source))?;
    match scores.iter().position(|score| !score.is_finite()) {
        None => Ok(scores),
        Some(i) => Err(error::non_finite(
            format_args!("unimodal score of modality {:?}", step.modalities()[present[i]]),
            "a finite number",
            scores[i],
            "check the student's weights and inputs for NaN",
        )),
    }
}

impl Modulate for Ogm {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(error::out_of_range("alpha of Ogm", "a finite number > 0", self.alpha));
        }
        self.window.check("window of Ogm")
    }

    fn needs_unimodal_logits(&self) -> bool {
        true
    }

    fn modulate(&mut self, step: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        if !self.window.contains(step.at.epoch) {
            return Ok(None);
        }
        let all = 0..step.modalities().len();
        let present: Vec<usize> = all.clone().filter(|&m| !step.rows[m].is_missing()).collect();
        let mut own = vec![None; step.modalities().len()];
        if !present.is_empty() {
            let found = scores(step, &present)?;
            present.iter().zip(found).for_each(|(&m, found)| own[m] = Some(found));
        }
        let scores = step.mean_over_ranks(&own)?;
        let present: Vec<usize> = all.filter(|&m| scores[m].is_some()).collect();
        let mut kappa = vec![1.0; step.modalities().len()];
        if present.len() > 1 {
            let found = self.kappa(&scores.into_iter().flatten().collect::<Vec<_>>());
            present.iter().zip(found).for_each(|(&m, found)| kappa[m] = found);
        }
        for (m, &kappa) in kappa.iter().enumerate() {
            if kappa == 1.0 && self.noise_seed.is_none() {
                continue;
            }
            for mut gradient in step.params.gradients(m) {
                if self.scope == GradientScope::All || gradient.dim() == 4 {
                    self.modulate_gradient(&mut gradient, kappa)
                        .map_err(|source| Error::torch("modulate a gradient", source))?;
                }
            }
        }
        Ok(Some(kappa))
    }

    fn state(&self) -> Result<State> {
        State::new(&self.noise_seed.map(|_| self.noise_drawn))
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let drawn = state.read::<Option<u64>>("OGM")?;
        if drawn.is_some() != self.noise_seed.is_some() {
            let name = |noise: bool| if noise { "OGM-GE, with noise" } else { "OGM" };
            let (here, there) = (name(self.noise_seed.is_some()), name(drawn.is_some()));
            return Err(error::foreign_state("state of OGM", here, there));
        }
        self.noise_drawn = drawn.unwrap_or(0);
        Ok(())
    }
}
