//! On-the-fly gradient modulation.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use super::noise::Noise;
use crate::{
    error::{self, Error, Result},
    loss::{Classification, G2dLoss},
    modality::Modality,
    modulation::Modulate,
    state::State,
    step::Observation,
    trainer::GradientScope,
    transfer,
};

/// Slows the modality whose own logits know the batch better.
///
/// s^m = Σ σ(unimodal logits of m)\[y\] over the batch, ratio^m = s^m / mean of the others' s;
/// κ^m = 1 − tanh(α · ratio^m) where ratio^m > 1, else 1. For two modalities these are the authors'
/// formulas (a tie slows nobody here, the first modality there). The gradients of the encoders'
/// parameters are multiplied by κ^m; as in the authors' code, those with four dimensions only.
///
/// OGM-GE, [`with_noise`](Self::with_noise), then adds N(0, std(g) + 1e-8) to the gradient g of each
/// of these parameters, in every encoder, std taken before scaling.
///
/// Scores need single-label targets and the student's
/// [`unimodal_logits`](crate::student::Student::unimodal_logits); reading them waits for the device once a
/// step. Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation",
/// CVPR 2022.
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
    window: Window,
    #[serde(default = "authors_scope")]
    scope: GradientScope,
    #[serde(rename = "noise_seed", default, skip_serializing_if = "Option::is_none")]
    noise: Option<Noise>,
}

/// A range of epochs that includes both ends.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    first: u64,
    last: u64,
}

/// What the authors' code changes.
fn authors_scope() -> GradientScope {
    GradientScope::FourDimensional
}

impl Ogm {
    /// Strength α > 0 (1 in the authors' code) in the epochs of `window`, both ends included.
    pub fn new(alpha: f64, window: RangeInclusive<u64>) -> Self {
        let window = Window { first: *window.start(), last: *window.end() };
        Self { alpha, window, scope: authors_scope(), noise: None }
    }

    /// OGM-GE, with noise from a generator of its own that starts at `seed`.
    ///
    /// Draws are made on the host, one for every gradient entry in scope.
    pub fn with_noise(mut self, seed: u64) -> Self {
        self.noise = Some(Noise::seeded(seed));
        self
    }

    /// Changes other gradients than the four-dimensional ones.
    pub fn scope(mut self, scope: GradientScope) -> Self {
        self.scope = scope;
        self
    }

    /// Mean true-class probability of the own logits of every modality in `present`, over the samples
    /// that have it.
    fn scores(step: &Observation<'_>, present: &[usize]) -> Result<Vec<f64>> {
        let loss = Classification::default();
        let score = |&m: &usize| -> Result<Tensor> {
            let logits = step.unimodal_logits(m)?.ok_or_else(|| no_logits(step, m))?;
            let targets = step.targets(m)?;
            loss.check_targets(&logits.size(), &targets)?;
            loss.confidence(&logits, &targets)
        };
        let scores = present.iter().map(score).collect::<Result<Vec<_>>>()?;
        let scores = transfer::read_scalars(&scores)?;
        match scores.iter().position(|s| !s.is_finite()) {
            None => Ok(scores),
            Some(i) => Err(error::non_finite(
                format!("unimodal score of modality {:?}", step.modalities()[present[i]]),
                "a finite number",
                format!("{}", scores[i]),
                "check the student's weights and inputs for NaN",
            )),
        }
    }

    /// κ of every modality.
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
    fn change(&mut self, gradient: &mut Tensor, kappa: f64) -> Result<()> {
        let noise = match &mut self.noise {
            Some(noise) if gradient.numel() > 1 => Some(noise.normal_like(gradient)?),
            _ => None,
        };
        let apply = || -> std::result::Result<(), TchError> {
            let noise = match noise {
                Some(noise) => Some(noise * (gradient.f_std(true)? + 1e-8)),
                None => None,
            };
            let _ = gradient.f_mul_(&Tensor::from(kappa).f_to_kind(gradient.kind())?)?;
            if let Some(noise) = noise {
                let _ = gradient.f_add_(&noise)?;
            }
            Ok(())
        };
        apply().map_err(|source| Error::torch("modulate a gradient", source))
    }
}

impl Modulate for Ogm {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(error::config(
                "alpha of Ogm",
                "a finite number > 0",
                format!("{}", self.alpha),
                "leave the modulation out for no suppression at all",
            ));
        }
        let Window { first, last } = self.window;
        if first > last {
            return Err(error::config(
                "window of Ogm",
                "first epoch ≤ last epoch",
                format!("{first}..={last}"),
                "leave the modulation out for no suppression at all",
            ));
        }
        Ok(())
    }

    fn needs_unimodal_logits(&self) -> bool {
        true
    }

    fn modulate(&mut self, step: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        if !(self.window.first..=self.window.last).contains(&step.at.epoch) {
            return Ok(None);
        }
        let all = 0..step.modalities().len();
        let present: Vec<usize> = all.filter(|&m| !step.rows[m].is_missing()).collect();
        let mut kappa = vec![1.0; step.modalities().len()];
        if present.len() > 1 {
            let found = self.kappa(&Self::scores(step, &present)?);
            present.iter().zip(found).for_each(|(&m, found)| kappa[m] = found);
        }
        for (m, &kappa) in kappa.iter().enumerate() {
            if kappa == 1.0 && self.noise.is_none() {
                continue;
            }
            for mut gradient in step.params.gradients(m) {
                if self.scope == GradientScope::All || gradient.dim() == 4 {
                    self.change(&mut gradient, kappa)?;
                }
            }
        }
        Ok(Some(kappa))
    }

    fn state(&self) -> Result<State> {
        State::new(&self.noise.as_ref().map(|noise| noise.drawn))
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        match (&mut self.noise, state.read::<Option<u64>>("OGM")?) {
            (None, None) => Ok(()),
            (Some(noise), Some(drawn)) => {
                noise.drawn = drawn;
                Ok(())
            }
            (noise, drawn) => {
                let one = |there: bool| if there { "OGM-GE, with noise" } else { "OGM, without" };
                Err(error::config(
                    "state of OGM",
                    one(noise.is_some()),
                    one(drawn.is_some()),
                    "resume with the configuration that the run was started with",
                ))
            }
        }
    }
}

/// The error of a student that stopped having unimodal logits.
fn no_logits(step: &Observation<'_>, m: usize) -> Error {
    error::config(
        "gradient modulation",
        format!("a student with unimodal logits of modality {:?}", step.modalities()[m]),
        "a student that has none",
        "implement `Student::unimodal_logits`, or use a fusion that has them",
    )
}
