//! The terms of balanced training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    Input, TaskInput,
    compare::{Compare, check_match},
    ranges::{check_temperature, check_weight},
    torch,
};
use crate::error::Result;
use crate::modality::{Modality, PerModality};

/// What a unimodal head of the student learns from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadTarget {
    /// The logits of the modality's teacher.
    #[default]
    Teacher,
    /// The targets: L_head^m is the task term of the head, and needs no teacher. The control that shows
    /// what teachers add.
    Labels,
}

/// L_head^m: the student's unimodal head z_m ([`Student::unimodal_logits`](crate::Student)) learns from
/// teacher m.
///
/// For classes T² · KL(σ(l_t^m / T) ‖ σ(z_m / T)); for a regression the mean of (z_m − l_t^m)². The
/// encoder of m learns from it in every step, also while [`Suppression::FusedLoss`] suppresses what the
/// fused loss sends to it.
///
/// [`Suppression::FusedLoss`]: crate::trainer::Suppression::FusedLoss
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadTerm {
    /// Weight of each modality's term; default 1.
    pub weight: PerModality<f64>,
    /// Temperature T of each modality's term; default 4. A regression and [`HeadTarget::Labels`] ignore
    /// it.
    pub temperature: PerModality<f64>,
    /// What the head learns from.
    pub target: HeadTarget,
}

impl Default for HeadTerm {
    fn default() -> Self {
        Self { weight: 1.0.into(), temperature: 4.0.into(), target: HeadTarget::Teacher }
    }
}

impl HeadTerm {
    pub(super) fn check(&self, modalities: &[Modality]) -> Result<()> {
        check_weight("head.weight", &self.weight, modalities)?;
        check_temperature("head.temperature", &self.temperature, modalities)
    }

    /// L_head^m; `None` without what it compares.
    pub(super) fn term(
        &self,
        input: &Input<'_>,
        m: usize,
        loss: &dyn Compare,
    ) -> Result<Option<Tensor>> {
        let Some(Some(logits)) = input.unimodal.get(m) else { return Ok(None) };
        let head = input.rows[m].select(logits)?;
        match self.target {
            HeadTarget::Labels => {
                let targets = input.rows[m].select(input.targets)?;
                let extras = input.extras.select(&input.rows[m])?;
                let task = TaskInput { logits: &head, targets: &targets, extras: &extras };
                loss.task(&task).map(Some)
            }
            HeadTarget::Teacher => {
                let Some(teacher) = input.teacher(m) else { return Ok(None) };
                check_match("unimodal logits", &input.modalities[m], &head, &teacher.logits)?;
                loss.divergence(&teacher.logits, &head, self.temperature.get(m)).map(Some)
            }
        }
    }
}

/// L_ens = T² · KL(σ(l_e / T) ‖ σ(l_s / T)), where l_e = Σ_m l_t^m / t_m is the calibrated ensemble of
/// the teachers. For classes only. In a row that lacks modalities the sum is over those that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnsembleTerm {
    /// Weight of the term; default 1.
    pub weight: f64,
    /// Temperature T; default 4.
    pub temperature: f64,
    /// Temperature t_m of each teacher, from
    /// [`TeacherCalibration`](crate::calibration::TeacherCalibration); default 1.
    pub teacher_temperature: PerModality<f64>,
}

impl Default for EnsembleTerm {
    fn default() -> Self {
        Self { weight: 1.0, temperature: 4.0, teacher_temperature: 1.0.into() }
    }
}

impl EnsembleTerm {
    pub(super) fn check(&self, modalities: &[Modality]) -> Result<()> {
        check_weight("ensemble.weight", &self.weight.into(), modalities)?;
        check_temperature("ensemble.temperature", &self.temperature.into(), modalities)?;
        let name = "ensemble.teacher_temperature";
        check_temperature(name, &self.teacher_temperature, modalities)
    }

    /// L_ens; `None` without teachers.
    pub(super) fn term(&self, input: &Input<'_>, loss: &dyn Compare) -> Result<Option<Tensor>> {
        let student = input.logits;
        let mut ensemble: Option<Tensor> = None;
        for m in 0..input.modalities.len() {
            let Some(teacher) = input.teacher(m) else { continue };
            let calibrated = &teacher.logits / self.teacher_temperature.get(m);
            let own = input.rows[m].spread(calibrated, student.size()[0])?;
            check_match("logits", &input.modalities[m], student, &own)?;
            ensemble = Some(match ensemble {
                None => own,
                Some(sum) => sum.f_add(&own).map_err(torch)?,
            });
        }
        let term = ensemble.map(|l| loss.divergence(&l, student, self.temperature));
        term.transpose()
    }
}
