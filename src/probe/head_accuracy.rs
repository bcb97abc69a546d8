//! Training accuracy of the unimodal heads, the teachers and the fused model.

use tch::{Kind, Tensor};

use super::{ImbalanceProbe, means::Means, vectors};
use crate::error::{Error, Result};
use crate::step::{Measurement, Observation};
use crate::transfer;

/// Accuracy in [0, 1] on the training samples of the epoch; NaN if a logit was not finite.
///
/// - `head_accuracy`: of the student's [unimodal logits](crate::Student::unimodal_logits) of each modality.
/// - `teacher_accuracy`: of each teacher.
/// - `fused_accuracy`: of the fused logits.
///
/// Each is taken over the samples that have the modality. There are no measurements unless the targets
/// are class labels, `Int64` \[B\]. The accuracies are those of training mode and changing weights; on
/// held-out data use [`Predictions::head_accuracy`](crate::trainer::Predictions::head_accuracy). Cost: the
/// unimodal heads once per step, shared with the other probes that use them.
///
/// Source: Peng et al., CVPR 2022, section 3.2, which splits the weight of the head by modality.
#[derive(Debug)]
pub struct HeadAccuracy {
    head: Means,
    teacher: Means,
    fused: Means,
}

impl Default for HeadAccuracy {
    fn default() -> Self {
        Self {
            head: Means::new("head_accuracy"),
            teacher: Means::new("teacher_accuracy"),
            fused: Means::new("fused_accuracy"),
        }
    }
}

impl ImbalanceProbe for HeadAccuracy {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        let labels = step.batch.targets();
        if labels.kind() != Kind::Int64 || labels.dim() != 1 {
            return Ok(());
        }
        let fused = accuracy(step.logits, labels)?;
        self.fused.whole_model().add(&fused, step.batch.size() as f64)?;
        for m in 0..step.modalities().len() {
            if let Some(logits) = step.unimodal_logits(m)? {
                self.head.add(step, m, &accuracy(&logits, &step.targets(m)?)?)?;
            }
            if let Some(Some(teacher)) = step.teachers.get(m) {
                self.teacher.add(step, m, &accuracy(&teacher.logits, &step.targets(m)?)?)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        Ok([self.head.take()?, self.teacher.take()?, self.fused.take()?].concat())
    }

    means_state!(head, teacher, fused);
}

/// The accuracy of `logits` [B, C] as a scalar on their device.
fn accuracy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let kind = transfer::wide_kind(labels.device());
    let mean = || {
        let correct = logits.f_argmax(1, false)?.f_eq_tensor(labels)?.f_to_kind(kind)?;
        vectors::nan_unless_finite(&correct.f_mean(None)?, logits)
    };
    mean().map_err(|source| Error::torch("compute an accuracy", source))
}
