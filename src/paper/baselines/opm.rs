//! On-the-fly prediction modulation.

use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{delegate::session_methods, settings};
use crate::algorithm::{Algorithm, Computed, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::paper::random::generator;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::Student;

/// Settings of [`Opm`]; the defaults are the authors'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpmConfig {
    /// q_base, by default 0.5; 0.4 in the authors' configuration file.
    pub q_base: f64,
    /// λ, by default 0.5.
    pub lambda: f64,
    /// The probability with which features are dropped in a batch, by default 0.7.
    pub probability: f64,
    /// The first epoch in which features are dropped, by default 6.
    pub first_epoch: u64,
    /// The seed of the random numbers, by default 0.
    pub seed: u64,
}

impl Default for OpmConfig {
    fn default() -> Self {
        Self { q_base: 0.5, lambda: 0.5, probability: 0.7, first_epoch: 6, seed: 0 }
    }
}

/// Random numbers in [0, 1) of a step.
type Uniforms = dyn FnMut(u64, usize) -> Vec<f64>;

/// OPM: drops features of the stronger of two modalities before the fusion.
///
/// ```text
/// s_m = Σ_i σ(z_m)[y_i]       t_m = tanh(max(0, s_m / s_o − 1))
/// q_m = q_base (1 + λ t_m), limited to 0 to 1, if t_m > 0, else 0
/// with a probability per batch: f_m[i] is kept with probability 1 − q_m, all features are divided by 1 − θ,
/// θ = Σ d_m q_m / Σ d_m
/// loss = CE(z)
/// ```
///
/// Exactly two modalities, whose features are vectors; the student needs unimodal logits. One forward and one
/// backward pass. Random numbers are a function of seed and step, so that there is no state. The authors'
/// journal settings for CREMA-D: AdamW lr 1e-3, weight decay 0.01, batches of 32, the rate × 0.1 every 20
/// epochs.
///
/// The authors' file has a bracket too many and does not run as published.
///
/// Details of each modality: `score` s, `q`, `keep` \[B\]; `theta`.
///
/// Source: Wei et al., "On-the-fly Modulation for Balanced Multimodal Learning", TPAMI 2024;
/// GeWu-Lab/BML_TPAMI2024 4b3aa4f.
pub struct Opm {
    config: OpmConfig,
    session: Session,
    uniforms: Box<Uniforms>,
}

impl Opm {
    /// OPM of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, another number of modalities
    /// than 2, and as [`Session::new`].
    pub fn new(student: &dyn Student, params: ModalityParams, config: OpmConfig) -> Result<Self> {
        settings::not_negative("lambda of Opm", config.lambda)?;
        for (what, value) in
            [("q_base of Opm", config.q_base), ("probability of Opm", config.probability)]
        {
            if !(0.0..=1.0).contains(&value) {
                return Err(error::out_of_range(what, "0 to 1", value));
            }
        }
        let session = Session::new("opm", student, params)?;
        session.expect_modalities(2)?;
        let uniforms = move |step: u64, n: usize| {
            let mut random = generator([config.seed, step, 0, 0]);
            (0..n).map(|_| random.random()).collect()
        };
        Ok(Self { config, session, uniforms: Box::new(uniforms) })
    }

    /// Takes the random numbers of a step from a function of its number in the run and of their number n,
    /// which is 2 B + 1: one for each sample of the first modality, then of the second, then that of the
    /// batch. A feature is kept if its number is below 1 − q.
    pub fn with_uniforms(mut self, uniforms: impl FnMut(u64, usize) -> Vec<f64> + 'static) -> Self {
        self.uniforms = Box::new(uniforms);
        self
    }
}

impl Algorithm for Opm {
    session_methods!(stateless);

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let Self { config, session, uniforms } = self;
        let rows = batch.size() as usize;
        session.step(student, batch, |pass| {
            let features = pass.encode_vectors(true)?;
            let scores = {
                let _no_grad = tch::no_grad_guard();
                let own = pass.all_unimodal_logits(&features)?;
                let score = |z: &Tensor| -> Result<Tensor> {
                    Ok(pass.true_class_probability(z)?.f_sum(z.kind())?)
                };
                own.iter().map(score).collect::<Result<Vec<_>>>()?
            };
            let scores = pass.read("scores of the modalities", &scores)?;
            let q = [0, 1].map(|m| {
                let t = (scores[m] / scores[1 - m] - 1.0).max(0.0).tanh();
                let q = config.q_base * (1.0 + config.lambda * t);
                if t > 0.0 { q.clamp(0.0, 1.0) } else { 0.0 }
            });
            let widths: Vec<f64> = features.iter().map(|own| own.size()[1] as f64).collect();
            let theta = (widths[0] * q[0] + widths[1] * q[1]) / (widths[0] + widths[1]);
            let numbers = uniforms(pass.at().total_steps, 2 * rows + 1);
            if numbers.len() != 2 * rows + 1 {
                let (what, hint) = ("random numbers of Opm", "return as many as are asked for");
                return Err(error::config(what, 2 * rows + 1, numbers.len(), hint));
            }
            let drops =
                pass.at().epoch >= config.first_epoch && numbers[2 * rows] < config.probability;
            let keep = |m: usize| -> Result<Tensor> {
                let kept = numbers[m * rows..(m + 1) * rows].iter();
                let kept = kept.map(|&number| f64::from(u8::from(!drops || number < 1.0 - q[m])));
                let kept = Tensor::f_from_slice(&kept.collect::<Vec<f64>>())?;
                Ok(kept.f_to_kind(features[m].kind())?.f_to_device(features[m].device())?)
            };
            let keep = [keep(0)?, keep(1)?];
            let scale = if drops { 1.0 / (1.0 - theta) } else { 1.0 };
            let dropped = features.iter().zip(&keep);
            let dropped = dropped.map(|(own, keep)| own * keep.unsqueeze(1) * scale);
            let logits = pass.fuse(&dropped.collect::<Vec<_>>(), true)?;
            let loss = pass.cross_entropy(&logits)?;
            let gradients = pass.gradients(&loss, false)?;
            pass.update(&gradients, optimizer)?;
            let names = pass.modalities();
            Ok(Computed::new(&loss, &loss, &logits)
                .numbers("score", names, &scores)
                .numbers("q", names, &q)
                .each("keep", names, &keep)
                .detail("theta", &Tensor::from(theta)))
        })
    }
}

impl fmt::Debug for Opm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opm").field("config", &self.config).finish_non_exhaustive()
    }
}
