//! How much of each modality the fused head can use.

use tch::{Kind, Tensor};

use super::{ImbalanceProbe, means::Means};
use crate::{
    error::{Error, Result},
    state::State,
    step::{Measurement, Observation},
    transfer,
};

/// Shares of the epoch's training samples whose largest logit is the label's, in [0, 1]: of each
/// modality's slice of the head (`head_accuracy`), of its teacher (`teacher_accuracy`), each over the
/// samples that have it, and of the fused logits (`fused_accuracy`).
///
/// Measured on training batches, in training mode, while the weights move: for held-out data take
/// [`Predictions::head_accuracy`](crate::trainer::Predictions::head_accuracy). Where targets are not class
/// labels (`Int64` \[B\]) it measures nothing; of heads, only what
/// [`unimodal_logits`](crate::student::Student::unimodal_logits) says. Costs the heads once a step, shared with
/// the other probes that read them; no wait.
///
/// Source: Peng et al., CVPR 2022, section 3.2: the head's weight taken apart by modality.
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
        let share = share_right(&step.logits, labels)?;
        self.fused.of_all().add(&share, step.batch.size() as f64)?;
        for m in 0..step.modalities().len() {
            let samples = step.samples(m) as f64;
            if let Some(logits) = step.unimodal_logits(m)? {
                let share = share_right(&logits, &step.targets(m)?)?;
                self.head.of(step.modalities(), m).add(&share, samples)?;
            }
            if let Some(Some(teacher)) = step.teachers.get(m) {
                let share = share_right(&teacher.logits, &step.targets(m)?)?;
                self.teacher.of(step.modalities(), m).add(&share, samples)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let mut found = self.head.take()?;
        found.extend(self.teacher.take()?);
        found.extend(self.fused.take()?);
        Ok(found)
    }

    fn state(&self) -> Result<State> {
        Means::save(&[&self.head, &self.teacher, &self.fused])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.head, &mut self.teacher, &mut self.fused])
    }
}

/// Share of rows of `logits` [B, C] whose largest entry is at the label, a device scalar.
fn share_right(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let kind = transfer::wide_kind(labels.device());
    let share = || logits.f_argmax(1, false)?.f_eq_tensor(labels)?.f_to_kind(kind)?.f_mean(None);
    share().map_err(|source| Error::torch("compute an accuracy", source))
}
