//! The distillation terms and their weights.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{Input, Terms, torch};
use crate::error::{self, Result};
use crate::modality::{Modality, PerModality};
use crate::teacher::TeacherOutput;

/// The reduction of squared feature differences to a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureReduction {
    /// Mean over batch and feature dimension (PyTorch's `mse_loss`), as in the authors' code.
    #[default]
    Mean,
    /// Sum over the feature dimension, mean over the batch: the paper's E‖f_s − f_t‖², d_m times
    /// larger.
    SquaredNorm,
}

/// The weights of the terms of L_G2D: of L_S, α, β, and per modality a weight and a temperature.
///
/// L_feat^m is the reduction of (f_s^m − f_t^m)², with the weight α · `feature_weight[m]`. L_logit^m,
/// with the weight β · `logit_weight[m]`, compares teacher m with the *fused* student: for classes
/// KL(σ(l_t^m / T_m) ‖ σ(l_s / T_m)) · T_m². Both are means over the rows of the batch that have m. All
/// weights are 1 by default, as in the authors' code. A term of weight 0 is not computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// Weight of L_S, 1 in the paper.
    pub task_weight: f64,
    /// α, the weight of all feature terms.
    pub alpha: f64,
    /// β, the weight of all logit terms.
    pub beta: f64,
    /// Weight of each modality's feature term, multiplied by α.
    pub feature_weight: PerModality<f64>,
    /// Weight of each modality's logit term, multiplied by β.
    pub logit_weight: PerModality<f64>,
    /// Temperature T_m of each modality's logit term; regression ignores it.
    pub temperature: PerModality<f64>,
    /// Reduction of the feature term.
    pub feature_reduction: FeatureReduction,
}

impl Default for Distillation {
    fn default() -> Self {
        Self {
            task_weight: 1.0,
            alpha: 1.0,
            beta: 1.0,
            feature_weight: 1.0.into(),
            logit_weight: 1.0.into(),
            temperature: 1.0.into(),
            feature_reduction: FeatureReduction::Mean,
        }
    }
}

impl Distillation {
    /// No distillation: teachers, if any, only rank the modalities.
    pub fn none() -> Self {
        Self { alpha: 0.0, beta: 0.0, ..Self::default() }
    }

    /// Feature terms alone (UMT).
    pub fn features_only() -> Self {
        Self { beta: 0.0, ..Self::default() }
    }

    /// Checks all values against the modalities.
    pub(super) fn check(&self, modalities: &[Modality]) -> Result<()> {
        let weight = |w: f64| w.is_finite() && w >= 0.0;
        let weights = [
            ("task_weight", &self.task_weight.into()),
            ("alpha", &self.alpha.into()),
            ("beta", &self.beta.into()),
            ("feature_weight", &self.feature_weight),
            ("logit_weight", &self.logit_weight),
        ];
        for (name, value) in weights {
            value.check(name, modalities, "a finite weight ≥ 0", weight)?;
        }
        let temperature = |t: f64| t.is_finite() && t > 0.0;
        self.temperature.check("temperature", modalities, "a finite value > 0", temperature)
    }

    /// Adds the distillation terms to `task_weight · task`; `compare(teacher, student, T)` is
    /// L_logit of one modality.
    pub(super) fn terms(
        &self,
        input: &Input<'_>,
        task: Tensor,
        compare: impl Fn(&Tensor, &Tensor, f64) -> Result<Tensor>,
    ) -> Result<Terms> {
        let mut total = weighted(&task, self.task_weight);
        let (mut feature, mut logit) = (Vec::new(), Vec::new());
        for m in 0..input.modalities.len() {
            let teacher = input.teachers.get(m).and_then(Option::as_ref);
            // Computes a term whose weight is not 0 and adds it to the total.
            let mut add = |weight: f64, term: Term<'_>| -> Result<Option<Tensor>> {
                let Some(teacher) = teacher.filter(|_| weight != 0.0) else { return Ok(None) };
                let term = term(teacher)?;
                total = total.f_add(&weighted(&term, weight)).map_err(torch)?;
                Ok(Some(term))
            };
            feature.push(add(self.alpha * self.feature_weight.get(m), &|teacher| {
                let student = input.rows[m].select(&input.features[m])?;
                check_match("features", &input.modalities[m], &student, &teacher.features)?;
                feature_distance(&student, &teacher.features, self.feature_reduction)
            })?);
            logit.push(add(self.beta * self.logit_weight.get(m), &|teacher| {
                let student = input.rows[m].select(input.logits)?;
                check_match("logits", &input.modalities[m], &student, &teacher.logits)?;
                compare(&teacher.logits, &student, self.temperature.get(m))
            })?);
        }
        Ok(Terms { total, task, feature, logit })
    }
}

/// A term of one modality, from its teacher's output.
type Term<'a> = &'a dyn Fn(&TeacherOutput) -> Result<Tensor>;

fn weighted(term: &Tensor, weight: f64) -> Tensor {
    if weight == 1.0 { term.shallow_clone() } else { term * weight }
}

/// L_feat: squared distance of two [B, d] tensors of the same shape.
fn feature_distance(student: &Tensor, teacher: &Tensor, how: FeatureReduction) -> Result<Tensor> {
    match how {
        FeatureReduction::Mean => student.f_mse_loss(teacher, Reduction::Mean).map_err(torch),
        FeatureReduction::SquaredNorm => {
            let sum = student.f_mse_loss(teacher, Reduction::Sum).map_err(torch)?;
            Ok(sum / student.size()[0] as f64)
        }
    }
}

/// Refuses tensors of different shapes, devices or dtypes, which libtorch would broadcast or promote
/// without an error.
fn check_match(what: &str, modality: &Modality, student: &Tensor, teacher: &Tensor) -> Result<()> {
    let what = format!("{what} of student and teacher {modality:?}");
    if student.size() != teacher.size() {
        let hint = if student.dim() == teacher.dim() {
            "pass a FeatureProjection to the trainer if widths differ; class counts must be equal"
        } else {
            "pool or flatten the student's features in `Student::distilled_features`"
        };
        let expected = format!("the teacher's {:?}", teacher.size());
        let found = format!("the student's {:?}", student.size());
        return Err(error::shape(what, expected, found, hint));
    }
    let (device, kind) = (student.device(), student.kind());
    if device != teacher.device() {
        let hint = "move the teacher to the student's device";
        return Err(error::wrong_device(what, device, "student", teacher.device(), hint));
    }
    if kind != teacher.kind() {
        let hint = "convert the teacher's output or its parameters";
        let expected = format!("{kind:?}, the student's");
        return Err(error::wrong_kind(what, expected, teacher.kind(), hint));
    }
    Ok(())
}
