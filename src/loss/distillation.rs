//! The two distillation terms and their weights.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{Input, Terms, torch};
use crate::{
    error::{self, Result},
    modality::{Modality, PerModality},
};

/// How squared feature differences become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureReduction {
    /// Mean over batch and feature dimension (PyTorch's `mse_loss`): what the authors' code does.
    #[default]
    Mean,
    /// Sum over the feature dimension, mean over the batch: the paper's E‖f_s − f_t‖², d_m times
    /// larger.
    SquaredNorm,
}

/// The weights of L_G2D's terms: of L_S, α, β, and per modality a weight and a temperature.
///
/// L_feat^m = reduction of (f_s^m − f_t^m)², counted α · `feature_weight[m]` times; L_logit^m,
/// counted β · `logit_weight[m]` times, compares teacher m with the *fused* student: for classes
/// KL(σ(l_t^m / T_m) ‖ σ(l_s / T_m)) · T_m². All are 1 by default, as in the authors' code. A term
/// whose weight is 0 is not computed. Both are means over the rows of the batch that have m.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Distillation {
    /// Weight of L_S, 1 in the paper.
    pub task_weight: f64,
    /// α, the weight of all feature terms.
    pub alpha: f64,
    /// β, the weight of all logit terms.
    pub beta: f64,
    /// Weight of each modality's feature term, within α.
    pub feature_weight: PerModality<f64>,
    /// Weight of each modality's logit term, within β.
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
    /// No distillation: teachers, if there are any, only rank the modalities.
    pub fn none() -> Self {
        Self { alpha: 0.0, beta: 0.0, ..Self::default() }
    }

    /// Feature terms alone (UMT).
    pub fn features_only() -> Self {
        Self { beta: 0.0, ..Self::default() }
    }

    /// Checks every number against the modalities.
    pub(super) fn check(&self, modalities: &[Modality]) -> Result<()> {
        let weight = |w: f64| w.is_finite() && w >= 0.0;
        let scalars =
            [("task_weight", self.task_weight), ("alpha", self.alpha), ("beta", self.beta)];
        for (name, value) in scalars {
            PerModality::All(value).check(name, modalities, "a finite weight ≥ 0", weight)?;
        }
        self.feature_weight.check("feature_weight", modalities, "finite weights ≥ 0", weight)?;
        self.logit_weight.check("logit_weight", modalities, "finite weights ≥ 0", weight)?;
        self.temperature.check("temperature", modalities, "finite temperatures > 0", |t| {
            t.is_finite() && t > 0.0
        })
    }

    /// Adds the distillation terms to `task_weight · task`; `compare(teacher, student, T)` is
    /// L_logit for one modality.
    pub(super) fn terms(
        &self,
        input: &Input<'_>,
        task: Tensor,
        compare: impl Fn(&Tensor, &Tensor, f64) -> Result<Tensor>,
    ) -> Result<Terms> {
        let weighted = |term: &Tensor, weight: f64| match weight {
            1.0 => term.shallow_clone(),
            _ => term * weight,
        };
        let mut total = weighted(&task, self.task_weight);
        let mut add = |term: &Tensor, weight: f64| -> Result<()> {
            total = total.f_add(&weighted(term, weight)).map_err(torch)?;
            Ok(())
        };
        let k = input.modalities.len();
        let (mut feature, mut logit) = (vec![], vec![]);
        for (m, teacher) in input.teachers.iter().enumerate() {
            let Some(teacher) = teacher else {
                feature.push(None);
                logit.push(None);
                continue;
            };
            let rows = &input.rows[m];
            let (alpha, beta) =
                (self.alpha * self.feature_weight.get(m), self.beta * self.logit_weight.get(m));
            feature.push(if alpha == 0.0 {
                None
            } else {
                let student = rows.select(&input.features[m])?;
                same_shape("features", &input.modalities[m], &student, &teacher.features)?;
                let term = feature_distance(&student, &teacher.features, self.feature_reduction)?;
                add(&term, alpha)?;
                Some(term)
            });
            logit.push(if beta == 0.0 {
                None
            } else {
                let student = rows.select(input.logits)?;
                same_shape("logits", &input.modalities[m], &student, &teacher.logits)?;
                let term = compare(&teacher.logits, &student, self.temperature.get(m))?;
                add(&term, beta)?;
                Some(term)
            });
        }
        feature.resize_with(k, || None);
        logit.resize_with(k, || None);
        Ok(Terms { total, task, feature, logit })
    }
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

/// Refuses what libtorch would broadcast in silence, or promote to another kind.
fn same_shape(what: &str, modality: &Modality, student: &Tensor, teacher: &Tensor) -> Result<()> {
    let what = format!("{what} of student and teacher {modality:?}");
    if student.size() != teacher.size() {
        let hint = if student.dim() == teacher.dim() {
            "give the trainer a FeatureProjection where widths differ; class counts must agree"
        } else {
            "pool or flatten the student's in `Student::distilled_features`"
        };
        let (found, expected) = (student.size(), teacher.size());
        return Err(error::shape(
            what,
            format!("the teacher's {expected:?}"),
            format!("the student's {found:?}"),
            hint,
        ));
    }
    if student.device() != teacher.device() {
        return Err(error::device(
            what,
            format!("{:?}", student.device()),
            format!("{:?}", teacher.device()),
            "put the teacher on the student's device",
        ));
    }
    if student.kind() != teacher.kind() {
        return Err(error::kind(
            what,
            format!("{:?}, the student's", student.kind()),
            format!("{:?}", teacher.kind()),
            "convert the teacher's output or its parameters",
        ));
    }
    Ok(())
}
