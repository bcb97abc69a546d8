//! Classes and labels.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use super::{Confidence, Distillation, G2dLoss, Input, Terms, TrueClassProbability, torch};
use crate::{
    error::{self, Result},
    modality::Modality,
};

/// What a classifier's targets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// One class a sample: `Int64` labels \[B\] in `0..C`; softmax and cross-entropy.
    #[default]
    Single,
    /// Any number of labels a sample: 0 or 1 in a float tensor [B, C]; sigmoid and binary
    /// cross-entropy.
    Multi,
}

/// Cross-entropy with distillation.
///
/// | | [`Labels::Single`] | [`Labels::Multi`] |
/// |---|---|---|
/// | L_S | cross-entropy of l_s and y, batch mean | binary cross-entropy, mean over [B, C] |
/// | L_logit^m | KL(σ(l_t/T) ‖ σ(l_s/T))·T², batch mean, σ = softmax | the same with σ = sigmoid, summed over labels |
/// | ρ^m | mean of σ(l_t)\[y\] | mean over [B, C] of the probability given to the true 0 or 1 |
///
/// ρ is measured on the batch that is trained on, as in the paper: a modality that is fitted well
/// counts as strong even where it generalises badly. It is [`TrueClassProbability`], unless
/// [`G2dTrainerBuilder::confidence`](crate::trainer::Builder::confidence) names another.
///
/// On the CPU a label outside `0..C` is an error. On another device the label is not read back: it
/// turns the loss into NaN, which the trainer reports.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Classification {
    /// What the targets are.
    pub labels: Labels,
    /// The distillation terms.
    pub distillation: Distillation,
}

impl Classification {
    /// One class a sample, with the distillation given.
    pub fn new(distillation: Distillation) -> Self {
        Self { labels: Labels::Single, distillation }
    }

    /// Any number of labels a sample, with the distillation given.
    pub fn multi_label(distillation: Distillation) -> Self {
        Self { labels: Labels::Multi, distillation }
    }

    /// L_S.
    fn task(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match self.labels {
            Labels::Multi => {
                let none = None::<Tensor>;
                logits
                    .f_binary_cross_entropy_with_logits(
                        &targets.f_to_kind(logits.kind()).map_err(torch)?,
                        none.as_ref(),
                        none.as_ref(),
                        Reduction::Mean,
                    )
                    .map_err(torch)
            }
            Labels::Single if targets.device() == Device::Cpu => cross_entropy(logits, targets),
            Labels::Single => {
                // An out-of-range label would abort the device, and reading it would wait for it.
                let classes = logits.size()[1];
                let legal = targets.ge(0).logical_and(&targets.lt(classes)).all();
                let loss = cross_entropy(logits, &targets.clamp(0, classes - 1))?;
                let nan = loss.detach().f_full_like(f64::NAN).map_err(torch)?; // made there: no copy
                loss.f_where_self(&legal, &nan).map_err(torch)
            }
        }
    }

    /// L_logit for one teacher: `KL(σ(teacher/T) ‖ σ(student/T))·T²`, batch mean.
    fn divergence(&self, teacher: &Tensor, student: &Tensor, temperature: f64) -> Result<Tensor> {
        let (teacher, student) = (teacher / temperature, student / temperature);
        let summed = match self.labels {
            Labels::Single => {
                let log_t = teacher.f_log_softmax(-1, None).map_err(torch)?;
                let log_s = student.f_log_softmax(-1, None).map_err(torch)?;
                log_s.f_kl_div(&log_t, Reduction::Sum, true).map_err(torch)?
            }
            Labels::Multi => {
                let bernoulli = |t: &Tensor, s: &Tensor| {
                    let (log_t, log_s) = (t.f_log_sigmoid()?, s.f_log_sigmoid()?);
                    log_s.f_kl_div(&log_t, Reduction::Sum, true)
                };
                let yes = bernoulli(&teacher, &student).map_err(torch)?;
                let no = bernoulli(&-&teacher, &-&student).map_err(torch)?;
                yes + no
            }
        };
        Ok(summed * (temperature * temperature / student.size()[0] as f64))
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
            Labels::Single => {
                if targets.kind() != Kind::Int64 {
                    return Err(error::kind(
                        "targets",
                        "Int64 class labels",
                        format!("{:?}", targets.kind()),
                        "convert with `to_kind(Kind::Int64)`, or set `labels: Labels::Multi`",
                    ));
                }
                if targets.size() != [rows] {
                    return Err(error::shape(
                        "targets",
                        format!("[{rows}], one class a sample"),
                        format!("{:?}", targets.size()),
                        "pass class labels, not one-hot rows",
                    ));
                }
                if targets.device() == Device::Cpu {
                    let labels: Vec<i64> = targets.try_into().map_err(torch)?;
                    if let Some(bad) = labels.iter().find(|&&y| y < 0 || y >= classes) {
                        return Err(error::target(
                            "targets",
                            format!("classes 0..{classes}, as the logits have"),
                            format!("{bad}"),
                            "check the labels, or the width of the last layer",
                        ));
                    }
                }
                Ok(())
            }
            Labels::Multi => {
                if !matches!(targets.kind(), Kind::Float | Kind::Double) {
                    return Err(error::kind(
                        "targets",
                        "Float or Double zeros and ones",
                        format!("{:?}", targets.kind()),
                        "convert with `to_kind(Kind::Float)`, or set `labels: Labels::Single`",
                    ));
                }
                if targets.size() != [rows, classes] {
                    return Err(error::shape(
                        "targets",
                        format!("[{rows}, {classes}] like the logits"),
                        format!("{:?}", targets.size()),
                        "pass one 0 or 1 for every label of every sample",
                    ));
                }
                // What is not finite makes the loss so, which is the trainer's to see.
                let legal = || {
                    let known = targets.eq(0.0).logical_or(&targets.eq(1.0));
                    known.logical_or(&targets.isfinite().logical_not()).all().int64_value(&[]) == 1
                };
                if targets.device() == Device::Cpu && !legal() {
                    return Err(error::target(
                        "targets",
                        "zeros and ones",
                        "another value",
                        "threshold soft labels first",
                    ));
                }
                Ok(())
            }
        }
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        let task = self.task(input.logits, input.targets)?;
        self.distillation
            .terms(input, task, |teacher, student, t| self.divergence(teacher, student, t))
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        TrueClassProbability { labels: self.labels }.rho(logits, targets)
    }
}
