//! Loss for class labels.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    Confidence, Distillation, G2dLoss, Input, Labels, TaskInput, TermWeights, Terms,
    TrueClassProbability, WithTask, base::Base, targets, weights,
};
use crate::batch::Extras;
use crate::error::{self, Result};
use crate::modality::Modality;

/// Cross-entropy with distillation.
///
/// | | [`Labels::Single`], [`Labels::Soft`] | [`Labels::Multi`] |
/// |---|---|---|
/// | L_S | cross-entropy of l_s and y, batch mean | binary cross-entropy, mean over [B, C] |
/// | L_logit^m | KL(σ(l_t/T) ‖ σ(l_s/T))·T², batch mean, σ = softmax | the same with σ = sigmoid, summed over labels |
/// | L_head^m, L_ens | the same between teacher m and the head of m, between the ensemble and l_s | the same |
/// | ρ^m | mean of σ(l_t)\[y\]; for soft labels of Σ_c y_c σ(l_t)_c | mean over [B, C] of the probability of the true 0 or 1 |
///
/// ρ is measured on training batches, as in the paper: a modality that is fitted well ranks as strong
/// even if it generalises badly. It is [`TrueClassProbability`]; choose another with
/// [`Builder::confidence`](crate::trainer::Builder::confidence).
///
/// # The task term
/// The other fields change L_S, and L_head^m under
/// [`HeadTarget::Labels`](super::HeadTarget::Labels). With p the softmax or sigmoid of l_s and the
/// smoothed targets q_ic = (1 − ε) y_ic + ε / C, where y is one-hot for [`Labels::Single`]:
///
/// | labels | ℓ_i of sample i | L_S |
/// |---|---|---|
/// | `Single` | −Σ_c w_c q_ic (1 − p_ic)^γ log p_ic | Σ_i v_i ℓ_i / Σ_i v_i w_{y_i} |
/// | `Soft` | the same | Σ_i v_i ℓ_i / Σ_i v_i |
/// | `Multi` | −(1/C) Σ_c w_c \[p⁺_c y_ic (1 − p_ic)^γ log p_ic + (1 − y_ic) p_ic^γ log(1 − p_ic)\] | Σ_i v_i ℓ_i / Σ_i v_i |
///
/// w is [`class_weight`](Self::class_weight), p⁺ [`pos_weight`](Self::pos_weight), ε
/// [`label_smoothing`](Self::label_smoothing), γ [`focal`](Self::focal), v
/// [`sample_weight`](Self::sample_weight). The normalisations are those of PyTorch. Where no sample has a
/// weight, L_S is 0, and so is its gradient (PyTorch returns NaN).
///
/// A sample to ignore ([`ignore_index`](Self::ignore_index)) is left out of L_S and ρ. It still learns
/// from the teachers: L_feat, L_logit, L_ens and L_head of a teacher cover it. A batch without any label
/// has ρ = 1/C, that of a guess.
///
/// On the CPU a label outside `0..C` is an error. On another device labels are not read back: such a
/// label turns the loss into NaN, which the trainer reports.
///
/// # Example
/// ```
/// use g2d::loss::{Classification, Distillation};
///
/// let loss = Classification {
///     class_weight: Some(vec![1.0, 4.0]),
///     label_smoothing: 0.1,
///     ignore_index: Some(-100),
///     ..Classification::new(Distillation::balanced())
/// };
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classification {
    /// The form of the targets.
    pub labels: Labels,
    /// Weight w_c ≥ 0 of each class; 1 without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weight: Option<Vec<f64>>,
    /// Weight p⁺_c ≥ 0 of the positive samples of each label; 1 without. For [`Labels::Multi`] alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pos_weight: Option<Vec<f64>>,
    /// Smoothing ε in [0, 1], 0 by default; not for [`Labels::Multi`].
    #[serde(skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// Exponent γ ≥ 0 of the focal loss (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017),
    /// 0 by default. The paper's α for two classes is `class_weight`; for [`Labels::Multi`] the
    /// `pos_weight` α / (1 − α) gives 1 / (1 − α) times its loss.
    #[serde(skip_serializing_if = "is_zero")]
    pub focal: f64,
    /// The label of samples to ignore. For [`Labels::Single`] alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
    /// Name of the batch's extra \[B\] with weights v_i ≥ 0
    /// ([`Batch::with_extra`](crate::Batch::with_extra)); 1 without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_weight: Option<String>,
    /// The distillation terms.
    pub distillation: Distillation,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Classification {
    /// One class per sample, with this distillation.
    pub fn new(distillation: Distillation) -> Self {
        Self { distillation, ..Self::default() }
    }

    /// Any number of labels per sample, with this distillation.
    pub fn multi_label(distillation: Distillation) -> Self {
        Self { labels: Labels::Multi, ..Self::new(distillation) }
    }

    /// Probabilities of the classes per sample, with this distillation.
    pub fn soft(distillation: Distillation) -> Self {
        Self { labels: Labels::Soft, ..Self::new(distillation) }
    }

    /// This loss with the closure `task` as L_S.
    pub fn with_task(self, task: impl Fn(&TaskInput<'_>) -> Result<Tensor> + 'static) -> WithTask {
        WithTask::new(Box::new(self), task)
    }

    /// Refuses a field that has no meaning for the form of the targets.
    fn check_fields(&self) -> Result<()> {
        let refuse = |name: &str, form: &str, is_set: bool| match is_set {
            false => Ok(()),
            true => {
                let expected = format!("none, for `labels` = {:?}", self.labels);
                let hint = format!("leave it out: it is for {form}");
                Err(error::config(name, expected, "one", hint))
            }
        };
        let (single, multi) = (self.labels == Labels::Single, self.labels == Labels::Multi);
        refuse("pos_weight", "`Labels::Multi`", !multi && self.pos_weight.is_some())?;
        refuse("ignore_index", "`Labels::Single`", !single && self.ignore_index.is_some())?;
        refuse("label_smoothing", "classes", multi && self.label_smoothing != 0.0)
    }
}

impl Base for Classification {
    fn distillation(&self) -> &Distillation {
        &self.distillation
    }
}

impl G2dLoss for Classification {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.check_fields()?;
        weights::check_list("class_weight", self.class_weight.as_deref())?;
        weights::check_list("pos_weight", self.pos_weight.as_deref())?;
        if !(0.0..=1.0).contains(&self.label_smoothing) {
            let (name, expected) = ("label_smoothing", "a number in [0, 1]");
            return Err(error::out_of_range(name, expected, self.label_smoothing));
        }
        if !(self.focal.is_finite() && self.focal >= 0.0) {
            let (name, expected) = ("focal", "a finite exponent ≥ 0");
            return Err(error::out_of_range(name, expected, self.focal));
        }
        self.distillation.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        let size = [logits[0], logits[1]];
        targets::check_any(targets)?;
        weights::check_length("class_weight", self.class_weight.as_deref(), size[1])?;
        weights::check_length("pos_weight", self.pos_weight.as_deref(), size[1])?;
        match self.labels {
            Labels::Single => targets::check_classes(size, targets, self.ignore_index),
            Labels::Multi => targets::check_sets(size, targets),
            Labels::Soft => targets::check_probabilities(size, targets),
        }
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        self.distillation.terms(input, self)
    }

    fn term_weights(&self, k: usize) -> Option<TermWeights> {
        Some(self.distillation.term_weights(k))
    }

    fn task_weight(&self, targets: &Tensor, extras: &Extras) -> Result<Option<Tensor>> {
        let samples = self.sample_weight.as_deref().map(|name| extras.get(name)).transpose()?;
        // Only for one class per sample is L_S divided by the weights of classes.
        let classes = self.class_weight.as_deref().filter(|_| self.labels == Labels::Single);
        weights::sum_of_samples(targets, samples, classes, self.ignore_index)
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.distillation.needs_unimodal_logits()
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let (labels, ignore_index) = (self.labels, self.ignore_index);
        TrueClassProbability { labels, ignore_index }.rho(logits, targets)
    }

    fn labels(&self) -> Option<Labels> {
        Some(self.labels)
    }

    fn ignore_index(&self) -> Option<i64> {
        self.ignore_index
    }
}
