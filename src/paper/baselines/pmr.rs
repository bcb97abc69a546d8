//! Prototypical modal rebalance.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{EpochWindow, delegate::session_methods, prototypes::Prototypes, settings};
use crate::algorithm::{Algorithm, Computed, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::step::StepReport;
use crate::student::Student;
use crate::trainer::ResumeState;

/// Settings of [`Pmr`]; the defaults are the authors'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PmrConfig {
    /// α, by default 1; the authors' scripts have 2 to 3 for CREMA-D, 0.5 to 3 for AVE.
    pub alpha: f64,
    /// μ, the weight of the old prototypes, by default 0.2; 0 in the authors' scripts.
    pub momentum: f64,
    /// The epochs with the prototype loss, by default 0 to 100; 0 to 70 in the authors' scripts.
    pub window: EpochWindow,
}

impl Default for PmrConfig {
    fn default() -> Self {
        Self { alpha: 1.0, momentum: 0.2, window: EpochWindow { first: 0, last: 100 } }
    }
}

/// PMR: draws the features of the weaker of two modalities to class prototypes.
///
/// The prototype c_m\[j\] is the mean feature of class j in evaluation mode over the batches given to
/// [`begin_epoch`](Algorithm::begin_epoch): the authors give a tenth of the training batches. From the third
/// epoch on it is (1 − μ) times the new mean plus μ times the old prototype.
///
/// ```text
/// sim_m[i, j] = −‖f_m[i] − c_m[j]‖      score_m = Σ_i σ(sim_m)[y_i]      ρ = score_0 / score_1
/// loss = CE(z) + β CE(sim_0) + γ CE(sim_1)
/// (β, γ) = (0, α) if ρ > 1, (α, 0) if ρ < 1, (0, 0) if equal and outside the window
/// ```
///
/// Exactly two modalities, whose features are vectors; any fusion. One forward and one backward pass per
/// step, and a pass without gradient per epoch. The state is the prototypes. The authors train with batches
/// of 64, lr 1e-4 (scripts: 1e-3), the rate × 0.1 at epoch 70.
///
/// The authors' code differs in two points, both NaN there: a class of which the batches have no sample has
/// no prototype and is left out here, and the gradient of a distance of 0 is 0. From memory, the paper has
/// continuous β = clip(1/ρ − 1, 0, 1), γ = clip(ρ − 1, 0, 1), and an entropy term in early epochs; the code
/// has neither, and this follows the code.
///
/// Details of each modality: `score`, `coefficient` (β or γ), `proto_loss` CE(sim), `similarity`; `ratio` ρ.
///
/// Source: Fan et al., "PMR: Prototypical Modal Rebalance for Multimodal Learning", CVPR 2023;
/// fanyunfeng-bit/Modal-Imbalance-PMR 3615e48.
#[derive(Debug)]
pub struct Pmr {
    config: PmrConfig,
    session: Session,
    prototypes: Option<Prototypes>,
    /// The epoch that the prototypes were made for.
    made_for: Option<u64>,
}

/// The state in a checkpoint.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PmrState<P> {
    prototypes: Option<P>,
    made_for: Option<u64>,
}

impl Pmr {
    /// PMR of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, another number of modalities
    /// than 2, and as [`Session::new`].
    pub fn new(student: &dyn Student, params: ModalityParams, config: PmrConfig) -> Result<Self> {
        settings::not_negative("alpha of Pmr", config.alpha)?;
        if !(0.0..=1.0).contains(&config.momentum) {
            return Err(error::out_of_range("momentum of Pmr", "0 to 1", config.momentum));
        }
        config.window.check("window of Pmr")?;
        let session = Session::new("pmr", student, params)?;
        session.expect_modalities(2)?;
        Ok(Self { config, session, prototypes: None, made_for: None })
    }

    /// The prototypes [C, d_m] of modality `m`; zeros for a class without one. `None` before the first
    /// epoch.
    ///
    /// # Panics
    /// If `m` is not 0 or 1.
    pub fn prototypes(&self, m: usize) -> Option<&Tensor> {
        self.prototypes.as_ref().map(|prototypes| prototypes.of(m))
    }
}

impl Algorithm for Pmr {
    session_methods!();

    fn reads_batches(&self) -> bool {
        true
    }

    fn begin_epoch(
        &mut self,
        student: &dyn Student,
        batches: &mut dyn Iterator<Item = Result<Batch>>,
    ) -> Result<()> {
        let epoch = self.session.progress().epoch;
        if self.made_for == Some(epoch) {
            return Ok(());
        }
        let mut new = Prototypes::compute(&self.session, student, batches)?;
        if let (Some(old), true) = (&self.prototypes, epoch > 0) {
            let momentum = if epoch > 1 { self.config.momentum } else { 0.0 };
            new.blend(old, momentum)?;
        }
        (self.prototypes, self.made_for) = (Some(new), Some(epoch));
        Ok(())
    }

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let Self { config, session, prototypes, .. } = self;
        let Some(prototypes) = prototypes else {
            let (expected, hint) = ("prototypes", "call `begin_epoch` with training batches");
            return Err(error::config("step of Pmr", expected, "none", hint));
        };
        let active = config.window.contains(session.progress().epoch);
        session.step(student, batch, |pass| {
            let features = pass.encode_vectors(true)?;
            let logits = pass.fuse(&features, true)?;
            let task = pass.cross_entropy(&logits)?;
            let labels = pass.labels(&logits)?;
            let (mut similarities, mut losses, mut scores) = (Vec::new(), Vec::new(), Vec::new());
            for (m, own) in features.iter().enumerate() {
                let (similarity, labels) = prototypes.similarity(m, own, labels)?;
                let own = labels.f_unsqueeze(1)?;
                let probability =
                    similarity.detach().f_softmax(1, None)?.f_gather(1, &own, false)?;
                scores.push(probability.f_sum(similarity.kind())?);
                losses.push(if labels.numel() == 0 {
                    similarity.f_sum(similarity.kind())? * 0.0
                } else {
                    let none = None::<&Tensor>;
                    similarity.f_cross_entropy_loss(&labels, none, Reduction::Mean, -100, 0.0)?
                });
                similarities.push(similarity);
            }
            let scores = pass.read("scores of the modalities", &scores)?;
            let alpha = if active { config.alpha } else { 0.0 };
            let coefficient = |m: usize| if scores[m] < scores[1 - m] { alpha } else { 0.0 };
            let coefficients = [coefficient(0), coefficient(1)];
            let terms =
                losses.iter().zip(coefficients).filter(|(_, coefficient)| *coefficient > 0.0);
            let terms = terms.map(|(loss, coefficient)| loss * coefficient);
            let total = terms.fold(task.shallow_clone(), |sum, term| sum + term);
            let gradients = pass.gradients(&total, false)?;
            pass.update(&gradients, optimizer)?;
            let names = pass.modalities();
            Ok(Computed::new(&total, &task, &logits)
                .numbers("score", names, &scores)
                .numbers("coefficient", names, &coefficients)
                .each("proto_loss", names, &losses)
                .each("similarity", names, &similarities)
                .detail("ratio", &Tensor::from(scores[0] / scores[1])))
        })
    }

    fn state(&mut self) -> Result<ResumeState> {
        let prototypes = self.prototypes.as_ref().map(Prototypes::state).transpose()?;
        self.session.state(&PmrState { prototypes, made_for: self.made_for })
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        let like = self.session.parameters()[0].tensor.shallow_clone();
        let mut prototypes = None;
        let own = self.session.restore(state, |own: &PmrState<_>| {
            let tensors = own.prototypes.as_ref();
            prototypes = tensors.map(|own| Prototypes::from_state(own, &like)).transpose()?;
            Ok(())
        })?;
        (self.prototypes, self.made_for) = (prototypes, own.made_for);
        Ok(())
    }
}
