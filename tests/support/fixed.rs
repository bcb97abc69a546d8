//! Schedulers with given κ, and teachers with a given ρ.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Batch, Modality, Result, SmpScheduler, Student, Teacher, TeacherOutput,
    loss::{Classification, Distillation},
    schedule::{Candidates, Plan, Progress},
    trainer::Builder,
};
use tch::{Device, Kind, Tensor};

use super::{CLASSES, Tiny, WIDTH};

/// A scheduler whose plan is the same κ in every step.
pub struct FixedKappa(pub Vec<f64>);

impl SmpScheduler for FixedKappa {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }

    fn needs_confidence(&self) -> bool {
        false
    }

    fn plan(&mut self, _at: Progress, _candidates: &Candidates) -> Result<Plan> {
        Plan::new(self.0.clone())
    }
}

/// A scheduler with a κ for each step of an epoch; after the last one the first follows.
pub struct KappaPerStep(pub Vec<Vec<f64>>);

impl SmpScheduler for KappaPerStep {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }

    fn needs_confidence(&self) -> bool {
        false
    }

    fn plan(&mut self, at: Progress, _candidates: &Candidates) -> Result<Plan> {
        Plan::new(self.0[at.step as usize % self.0.len()].clone())
    }
}

/// ρ of every modality, which the test changes between steps.
pub type SharedConfidence = Rc<RefCell<Vec<f64>>>;

/// A teacher whose logits all equal the ρ of its modality.
struct FixedConfidenceTeacher {
    modality: Modality,
    rho: SharedConfidence,
}

impl Teacher for FixedConfidenceTeacher {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let rho = self.rho.borrow()[m];
        let zeros = |columns| Tensor::zeros([batch.size(), columns], (Kind::Double, Device::Cpu));
        Ok(TeacherOutput { features: zeros(WIDTH), logits: zeros(CLASSES) + rho, host: None })
    }
}

/// The confidence that returns the ρ of a [`FixedConfidenceTeacher`].
fn first_logit(logits: &Tensor, _targets: &Tensor) -> Result<Tensor> {
    Ok(logits.f_select(0, 0)?.f_select(0, 0)?)
}

impl Tiny {
    /// A trainer's builder without distillation, with teachers whose confidence is `rho`.
    pub fn builder_with_fixed_confidence(&self, rho: &SharedConfidence) -> Builder {
        let loss = Classification::new(Distillation::none());
        let teacher =
            |m: &Modality| FixedConfidenceTeacher { modality: m.clone(), rho: rho.clone() };
        let builder = self.builder(loss).confidence(first_logit);
        self.modalities().iter().fold(builder, |builder, m| builder.teacher(teacher(m)))
    }
}
