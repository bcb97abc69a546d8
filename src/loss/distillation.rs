//! The distillation terms and their weights.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{
    EnsembleTerm, HeadTarget, HeadTerm, Input, TaskInput, TermWeights, Terms,
    compare::{Compare, check_match},
    ranges::{check_temperature, check_weight},
    torch,
};
use crate::error::Result;
use crate::modality::{Modality, PerModality};

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

/// The weights of the terms of the loss: of L_S, α, β, and per modality a weight and a temperature; and
/// the terms of balanced training.
///
/// L_feat^m is the reduction of (f_s^m − f_t^m)², with the weight α · `feature_weight[m]`. L_logit^m,
/// with the weight β · `logit_weight[m]`, compares teacher m with the *fused* student: for classes
/// KL(σ(l_t^m / T_m) ‖ σ(l_s / T_m)) · T_m². L_head^m ([`HeadTerm`]) compares teacher m with the
/// student's own unimodal head; L_ens ([`EnsembleTerm`]) compares the calibrated ensemble of the teachers
/// with the fused student. All are means over the rows of the batch that have m, also over rows without
/// a label to learn (`ignore_index`), since a teacher's output needs none, and without sample weights.
/// The weights of L_S, L_feat and L_logit are 1 by default, as in the authors' code, and there are no head
/// and ensemble terms. A term of weight 0 is not computed.
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
    /// L_head^m, the terms of the student's unimodal heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadTerm>,
    /// L_ens, the term of the calibrated ensemble of the teachers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<EnsembleTerm>,
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
            head: None,
            ensemble: None,
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

    /// Balanced training: L_S + Σ_m (L_feat^m + L_head^m), where every teacher teaches the student's own
    /// head of its modality at temperature 4, and no teacher the fused logits. Combine it with a late
    /// fusion of calibrated weights ([`FusionWeights`](crate::calibration::FusionWeights)); docs/method.md
    /// gives the reasons.
    pub fn balanced() -> Self {
        Self { head: Some(HeadTerm::default()), ..Self::features_only() }
    }

    /// Returns whether a term needs the student's unimodal logits.
    pub(super) fn needs_unimodal_logits(&self) -> bool {
        self.head.as_ref().is_some_and(|head| !head.weight.is_zero())
    }

    /// The weights of the terms of `k` modalities in the total.
    pub(super) fn term_weights(&self, k: usize) -> TermWeights {
        let each = |weight: f64, own: &PerModality<f64>| {
            (0..k).map(|m| Some(weight * own.get(m))).collect::<Vec<_>>()
        };
        let terms = Terms {
            total: 1.0,
            task: self.task_weight,
            feature: each(self.alpha, &self.feature_weight),
            logit: each(self.beta, &self.logit_weight),
            head: self.head.as_ref().map_or(Vec::new(), |head| each(1.0, &head.weight)),
            ensemble: self.ensemble.as_ref().map(|ensemble| ensemble.weight),
        };
        let learns_labels = |head: &HeadTerm| head.target == HeadTarget::Labels;
        TermWeights { terms, heads_learn_labels: self.head.as_ref().is_some_and(learns_labels) }
    }

    /// Checks all values against the modalities.
    pub(super) fn check(&self, modalities: &[Modality]) -> Result<()> {
        let weights = [
            ("task_weight", &self.task_weight.into()),
            ("alpha", &self.alpha.into()),
            ("beta", &self.beta.into()),
            ("feature_weight", &self.feature_weight),
            ("logit_weight", &self.logit_weight),
        ];
        weights.into_iter().try_for_each(|(name, value)| check_weight(name, value, modalities))?;
        check_temperature("temperature", &self.temperature, modalities)?;
        self.head.as_ref().map_or(Ok(()), |head| head.check(modalities))?;
        self.ensemble.as_ref().map_or(Ok(()), |ensemble| ensemble.check(modalities))
    }

    /// The terms of `loss` with their weights.
    pub(super) fn terms(&self, input: &Input<'_>, loss: &dyn Compare) -> Result<Terms> {
        let task = loss.task(&TaskInput::from(input))?;
        let mut total = Total(weighted(&task, self.task_weight));
        let mut terms = Terms::from_task(task);
        for m in 0..input.modalities.len() {
            let weight = self.alpha * self.feature_weight.get(m);
            terms.feature.push(total.add(weight, || self.feature(input, m))?);
            let weight = self.beta * self.logit_weight.get(m);
            terms.logit.push(total.add(weight, || self.logit(input, m, loss))?);
            if let Some(head) = &self.head {
                terms.head.push(total.add(head.weight.get(m), || head.term(input, m, loss))?);
            }
        }
        if let Some(ensemble) = &self.ensemble {
            terms.ensemble = total.add(ensemble.weight, || ensemble.term(input, loss))?;
        }
        terms.total = total.0;
        Ok(terms)
    }

    /// L_feat^m.
    fn feature(&self, input: &Input<'_>, m: usize) -> Result<Option<Tensor>> {
        let Some(teacher) = input.teacher(m) else { return Ok(None) };
        let student = input.rows[m].select(&input.features[m])?;
        check_match("features", &input.modalities[m], &student, &teacher.features)?;
        feature_distance(&student, &teacher.features, self.feature_reduction).map(Some)
    }

    /// L_logit^m.
    fn logit(&self, input: &Input<'_>, m: usize, loss: &dyn Compare) -> Result<Option<Tensor>> {
        let Some(teacher) = input.teacher(m) else { return Ok(None) };
        let student = input.rows[m].select(input.logits)?;
        check_match("logits", &input.modalities[m], &student, &teacher.logits)?;
        loss.divergence(&teacher.logits, &student, self.temperature.get(m)).map(Some)
    }
}

/// The weighted sum of the terms so far.
struct Total(Tensor);

impl Total {
    /// Computes a term whose weight is not 0 and adds it to the sum.
    fn add(
        &mut self,
        weight: f64,
        term: impl FnOnce() -> Result<Option<Tensor>>,
    ) -> Result<Option<Tensor>> {
        if weight == 0.0 {
            return Ok(None);
        }
        let term = term()?;
        if let Some(term) = &term {
            self.0 = self.0.f_add(&weighted(term, weight)).map_err(torch)?;
        }
        Ok(term)
    }
}

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
