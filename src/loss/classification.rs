//! Loss for class labels.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use super::{
    Confidence, Distillation, G2dLoss, Input, Labels, Terms, TrueClassProbability,
    compare::Compare, torch,
};
use crate::error::{self, Result};
use crate::modality::Modality;

/// Cross-entropy with distillation.
///
/// | | [`Labels::Single`] | [`Labels::Multi`] |
/// |---|---|---|
/// | L_S | cross-entropy of l_s and y, batch mean | binary cross-entropy, mean over [B, C] |
/// | L_logit^m | KL(σ(l_t/T) ‖ σ(l_s/T))·T², batch mean, σ = softmax | the same with σ = sigmoid, summed over labels |
/// | L_head^m, L_ens | the same between teacher m and the head of m, between the ensemble and l_s | the same |
/// | ρ^m | mean of σ(l_t)\[y\] | mean over [B, C] of the probability of the true 0 or 1 |
///
/// ρ is measured on training batches, as in the paper: a modality that is fitted well ranks as strong
/// even if it generalises badly. It is [`TrueClassProbability`]; choose another with
/// [`Builder::confidence`](crate::trainer::Builder::confidence).
///
/// On the CPU a label outside `0..C` is an error. On another device labels are not read back: such a
/// label turns the loss into NaN, which the trainer reports.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classification {
    /// The form of the targets.
    pub labels: Labels,
    /// The distillation terms.
    pub distillation: Distillation,
}

impl Classification {
    /// One class per sample, with this distillation.
    pub fn new(distillation: Distillation) -> Self {
        Self { labels: Labels::Single, distillation }
    }

    /// Any number of labels per sample, with this distillation.
    pub fn multi_label(distillation: Distillation) -> Self {
        Self { labels: Labels::Multi, distillation }
    }
}

impl Compare for Classification {
    /// L_S.
    fn task(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match self.labels {
            Labels::Multi => {
                let (none, targets) = (None::<&Tensor>, targets.f_to_kind(logits.kind()));
                let targets = targets.map_err(torch)?;
                logits
                    .f_binary_cross_entropy_with_logits(&targets, none, none, Reduction::Mean)
                    .map_err(torch)
            }
            Labels::Single if targets.device() == Device::Cpu => cross_entropy(logits, targets),
            Labels::Single => {
                // An out-of-range label would abort a CUDA kernel; reading it would synchronise.
                let classes = logits.size()[1];
                let valid = targets.ge(0).logical_and(&targets.lt(classes)).all();
                let loss = cross_entropy(logits, &targets.clamp(0, classes - 1))?;
                // Made on the device, so that nothing is copied to it.
                let nan = loss.detach().f_full_like(f64::NAN).map_err(torch)?;
                loss.f_where_self(&valid, &nan).map_err(torch)
            }
        }
    }

    /// L_logit for one teacher: `KL(σ(teacher/T) ‖ σ(student/T))·T²`, batch mean.
    fn divergence(&self, teacher: &Tensor, student: &Tensor, temperature: f64) -> Result<Tensor> {
        let (t, s) = (teacher / temperature, student / temperature);
        let kl = |log_t: Tensor, log_s: Tensor| log_s.f_kl_div(&log_t, Reduction::Sum, true);
        let sum = || match self.labels {
            Labels::Single => kl(t.f_log_softmax(-1, None)?, s.f_log_softmax(-1, None)?),
            Labels::Multi => {
                let ones = kl(t.f_log_sigmoid()?, s.f_log_sigmoid()?)?;
                ones.f_add(&kl((-&t).f_log_sigmoid()?, (-&s).f_log_sigmoid()?)?)
            }
        };
        let scale = temperature * temperature / student.size()[0] as f64;
        Ok(sum().map_err(torch)? * scale)
    }
}

/// Batch mean of −log softmax(l)\[y\].
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    const NO_INDEX_IGNORED: i64 = -100;
    logits
        .f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, NO_INDEX_IGNORED, 0.0)
        .map_err(torch)
}

impl G2dLoss for Classification {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.distillation.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        let (rows, classes) = (logits[0], logits[1]);
        match self.labels {
            Labels::Single => check_classes(rows, classes, targets),
            Labels::Multi => check_labels(rows, classes, targets),
        }
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        self.distillation.terms(input, self)
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.distillation.needs_unimodal_logits()
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        TrueClassProbability { labels: self.labels }.rho(logits, targets)
    }
}

/// Checks targets of [`Labels::Single`]; their values on the CPU alone.
fn check_classes(rows: i64, classes: i64, targets: &Tensor) -> Result<()> {
    if targets.kind() != Kind::Int64 {
        let hint = "convert with `to_kind(Kind::Int64)`, or set `labels: Labels::Multi`";
        return Err(error::wrong_kind("targets", "Int64 class labels", targets.kind(), hint));
    }
    if targets.size() != [rows] {
        let expected = format!("[{rows}], one class per sample");
        let hint = "pass class labels, not one-hot rows";
        return Err(error::wrong_shape("targets", expected, &targets.size(), hint));
    }
    if targets.device() == Device::Cpu {
        let labels: Vec<i64> = targets.try_into().map_err(torch)?;
        if let Some(label) = labels.iter().find(|label| !(0..classes).contains(*label)) {
            let expected = format!("classes 0..{classes}, the width of the logits");
            let hint = "check the labels and the width of the last layer";
            return Err(error::target("targets", expected, label, hint));
        }
    }
    Ok(())
}

/// Checks targets of [`Labels::Multi`]; their values on the CPU alone.
fn check_labels(rows: i64, classes: i64, targets: &Tensor) -> Result<()> {
    if !matches!(targets.kind(), Kind::Float | Kind::Double) {
        let expected = "Float or Double zeros and ones";
        let hint = "convert with `to_kind(Kind::Float)`, or set `labels: Labels::Single`";
        return Err(error::wrong_kind("targets", expected, targets.kind(), hint));
    }
    if targets.size() != [rows, classes] {
        let expected = format!("[{rows}, {classes}] like the logits");
        let hint = "pass one 0 or 1 for every label of every sample";
        return Err(error::wrong_shape("targets", expected, &targets.size(), hint));
    }
    // A value that is not finite is accepted here: the trainer's policy applies to the loss.
    let valid = || {
        let binary = targets.eq(0.0).logical_or(&targets.eq(1.0));
        binary.logical_or(&targets.isfinite().logical_not()).all().int64_value(&[]) == 1
    };
    if targets.device() == Device::Cpu && !valid() {
        let hint = "threshold soft labels first";
        return Err(error::target("targets", "zeros and ones", "another value", hint));
    }
    Ok(())
}
