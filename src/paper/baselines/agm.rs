//! Adaptive gradient modulation.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{EpochWindow, attribution::attributions, delegate::session_methods, settings};
use crate::algorithm::{Algorithm, Computed, Gradients, Pass, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::Student;
use crate::trainer::ResumeState;

/// The largest number of modalities: a step fuses 2ᵏ − 1 times.
const MOST: usize = 8;

/// Settings of [`Agm`]; the defaults are the authors' for CREMA-D, except α and the clipping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgmConfig {
    /// α, by default 1. The authors' tables have 1.5 for CREMA-D, 4 (late) and 6 (early) for UR-FUNNY and
    /// 2.5 for AV-MNIST.
    pub alpha: f64,
    /// The largest τ − r, by default 10; 7 for UR-FUNNY, `None` for the authors' other data sets.
    pub cap: Option<f64>,
    /// Clipping of the gradients; by default `None`.
    pub clip: Option<AgmClip>,
    /// The epochs with modulation; by default `None`, all of them. Outside, κ is 1; in the authors' code
    /// it keeps its last value.
    pub window: Option<EpochWindow>,
}

impl Default for AgmConfig {
    fn default() -> Self {
        Self { alpha: 1.0, cap: Some(10.0), clip: None, window: None }
    }
}

/// The authors' clipping: where an entry of the gradient of one of `parameters` is outside ±`threshold`,
/// all gradients together are scaled to a norm of at most `norm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgmClip {
    /// The full names of the weights of the fused classifier.
    pub parameters: Vec<String>,
    /// 1 for CREMA-D, 5 for UR-FUNNY.
    pub threshold: f64,
    /// 1 for CREMA-D, 5 for UR-FUNNY.
    pub norm: f64,
}

/// AGM: scales the gradient that flows through each modality's share of the fused logits.
///
/// With z(S) the fused logits where modalities outside S have an input of zeros, and z(∅) = 0, the share
/// φ_m of modality m is its Shapley value ([`attributions`]), so that Σ φ_m = z:
///
/// ```text
/// s_m = mean of −log max(σ(φ_m)[y], 1e-8)         S_m: its mean over the earlier steps, 0 at first
/// r_m = exp(k/(k−1) · (s̄ − s_m))                  τ_m: the same of S
/// κ_m = exp(α · min(τ_m − r_m, cap))
/// gradient = that of CE(Σ φ_m), where what reaches φ_m is multiplied by κ_m
/// ```
///
/// κ acts on all parameters, fusion and heads included. The full forward runs in training mode, the others
/// in evaluation mode, on the running statistics that it has just moved.
///
/// 2 to 8 modalities, any fusion. It runs each encoder three times, the fusion 2ᵏ − 1 times, and has one
/// backward pass. The state is S and the number of steps. The authors train with batches of 16 and the rate
/// × 0.1 at epoch 70.
///
/// The authors' code differs from this in one point: after its window the last κ stays. From memory, the
/// paper has neither cap nor clipping. BalanceBenchmark's AGM has the opposite sign in r, and leaves out
/// z({m}) − z(∅).
///
/// The report's factors are κ, whose effect on the encoders is not exactly a factor. Details of each
/// modality: `score` s, `ratio` r, `target_ratio` τ, `phi` [B, C]; `clipped`, 0 or 1.
///
/// Source: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation", ICCV
/// 2023; lihong2303/AGM_ICCV2023 5a65542.
#[derive(Debug)]
pub struct Agm {
    config: AgmConfig,
    session: Session,
    scores: AgmScores,
}

/// The mean scores of the modalities over the steps so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgmScores {
    /// S_m; 0 before the first step.
    pub means: Vec<f64>,
    /// The number of steps.
    pub steps: u64,
}

/// The coefficients of a step of [`Agm`], by modality.
#[derive(Debug, Clone, PartialEq)]
pub struct AgmCoefficients {
    /// r.
    pub ratio: Vec<f64>,
    /// τ.
    pub target_ratio: Vec<f64>,
    /// κ.
    pub kappa: Vec<f64>,
}

impl AgmScores {
    /// No steps of `k` modalities.
    pub fn new(k: usize) -> Self {
        Self { means: vec![0.0; k], steps: 0 }
    }

    /// The coefficients of a step with these scores.
    pub fn coefficients(&self, scores: &[f64], alpha: f64, cap: Option<f64>) -> AgmCoefficients {
        let (ratio, target_ratio) = (ratios(scores), ratios(&self.means));
        let cap = cap.unwrap_or(f64::INFINITY);
        let kappa = target_ratio.iter().zip(&ratio).map(|(t, r)| (alpha * (t - r).min(cap)).exp());
        AgmCoefficients { kappa: kappa.collect(), ratio, target_ratio }
    }

    /// Adds the scores of a step to the means.
    pub fn add(&mut self, scores: &[f64]) {
        self.steps += 1;
        let n = self.steps as f64;
        for (mean, score) in self.means.iter_mut().zip(scores) {
            *mean = *mean * (n - 1.0) / n + score / n;
        }
    }
}

/// exp(k/(k−1) · (s̄ − s_m)).
fn ratios(scores: &[f64]) -> Vec<f64> {
    let k = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / k;
    scores.iter().map(|score| (k / (k - 1.0) * (mean - score)).exp()).collect()
}

impl Agm {
    /// AGM of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, more than 8 modalities, and a
    /// name of [`AgmClip`] that no parameter has; as [`Session::new`].
    pub fn new(student: &dyn Student, params: ModalityParams, config: AgmConfig) -> Result<Self> {
        settings::not_negative("alpha of Agm", config.alpha)?;
        config.window.map_or(Ok(()), |window| window.check("window of Agm"))?;
        let session = Session::new("agm", student, params)?;
        let k = session.modalities().len();
        if k > MOST {
            return Err(error::out_of_range("modalities of Agm", format!("2 to {MOST}"), k));
        }
        if let Some(clip) = &config.clip {
            settings::positive("threshold of AgmClip", clip.threshold)?;
            settings::positive("norm of AgmClip", clip.norm)?;
            let known = |name: &String| session.parameters().iter().any(|p| p.name == *name);
            if clip.parameters.is_empty() || !clip.parameters.iter().all(known) {
                let expected = "names of the fused classifier's weights";
                let hint = "pass full names, as in the `VarStore`";
                let found = format!("{:?}", clip.parameters);
                return Err(error::config("parameters of AgmClip", expected, found, hint));
            }
        }
        Ok(Self { config, session, scores: AgmScores::new(k) })
    }

    /// The mean scores so far.
    pub fn scores(&self) -> &AgmScores {
        &self.scores
    }
}

impl Algorithm for Agm {
    session_methods!();

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let Self { config: AgmConfig { alpha, cap, clip, window }, session, scores: state } = self;
        let active = window.is_none_or(|window| window.contains(session.progress().epoch));
        let alpha = if active { *alpha } else { 0.0 };
        let mut moved = state.clone();
        let report = session.step(student, batch, |pass| {
            let phi = attributions(&subset_logits(pass)?)?;
            let logits: Tensor = phi.iter().sum();
            let loss = pass.cross_entropy(&logits)?;
            let scores = phi.iter().map(|phi| score(pass, phi)).collect::<Result<Vec<_>>>()?;
            let scores = pass.read("scores of the modalities", &scores)?;
            let coefficients = moved.coefficients(&scores, alpha, *cap);
            moved.add(&scores);

            let by_logits = Tensor::f_run_backward(&[&loss], &[&logits], true, false)?;
            let scaled: Tensor =
                phi.iter().zip(&coefficients.kappa).map(|(phi, kappa)| phi * *kappa).sum();
            let surrogate = (&by_logits[0].detach() * scaled).f_sum(logits.kind())?;
            pass.read("loss", &[loss.detach()])?;
            let mut gradients = pass.gradients(&surrogate, false)?;
            let clipped =
                clip.as_ref().map_or(Ok(false), |c| clip_gradients(pass, c, &mut gradients))?;
            pass.update(&gradients, optimizer)?;
            let names = pass.modalities();
            let mut computed = Computed::new(&loss, &loss, &logits)
                .numbers("score", names, &scores)
                .numbers("ratio", names, &coefficients.ratio)
                .numbers("target_ratio", names, &coefficients.target_ratio)
                .each("phi", names, &phi)
                .detail("clipped", &Tensor::from(f64::from(u8::from(clipped))));
            computed.factors = Some(coefficients.kappa);
            Ok(computed)
        })?;
        *state = moved;
        Ok(report)
    }

    fn state(&mut self) -> Result<ResumeState> {
        self.session.state(&self.scores)
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        let k = self.session.modalities().len();
        self.scores = self.session.restore(state, |scores: &AgmScores| {
            let fits = scores.means.len() == k && scores.means.iter().all(|mean| mean.is_finite());
            if fits {
                Ok(())
            } else {
                Err(error::foreign_state("scores of Agm", k, scores.means.len()))
            }
        })?;
        Ok(())
    }
}

/// z(S) of every non-empty set S of modalities, at index S − 1, where bit m of S is modality m.
fn subset_logits(pass: &Pass<'_>) -> Result<Vec<Tensor>> {
    let k = pass.modalities().len();
    let full = pass.fuse(&pass.encode_all(true)?, true)?;
    let own = pass.encode_all(false)?;
    let absent = (0..k).map(|m| pass.encode_zeros(m)).collect::<Result<Vec<_>>>()?;
    let logits = |set: usize| {
        let feature = |m| if set >> m & 1 == 1 { &own[m] } else { &absent[m] };
        let features: Vec<Tensor> = (0..k).map(|m| feature(m).shallow_clone()).collect();
        pass.fuse(&features, false)
    };
    let mut all = (1..(1 << k) - 1).map(logits).collect::<Result<Vec<_>>>()?;
    all.push(full);
    Ok(all)
}

/// The mean of −log max(σ(φ)\[y\], 1e-8).
fn score(pass: &Pass<'_>, phi: &Tensor) -> Result<Tensor> {
    let probability = pass.true_class_probability(&phi.detach())?;
    Ok(-probability.f_clamp_min(1e-8)?.f_log()?.f_mean(phi.kind())?)
}

/// Clips the gradients where an entry of those that `clip` names is outside its threshold. Returns whether
/// it has.
fn clip_gradients(pass: &Pass<'_>, clip: &AgmClip, gradients: &mut Gradients<'_>) -> Result<bool> {
    let named = clip.parameters.iter().filter_map(|name| gradients.get(name));
    let largest = named.map(|gradient| gradient.abs().max().to_kind(Kind::Double));
    let largest = pass.read("gradient of the classifier", &largest.collect::<Vec<_>>())?;
    let exceeds = largest.iter().any(|&entry| entry > clip.threshold);
    if exceeds {
        let _ = gradients.clip_norm(clip.norm)?;
    }
    Ok(exceeds)
}
