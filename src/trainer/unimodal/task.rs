//! The task of a teacher: a modality and a loss.

use std::slice;

use tch::{Device, Tensor};

use crate::batch::{Batch, Rows};
use crate::error::{self, Error, Result};
use crate::loss::{G2dLoss, Input};
use crate::modality::Modality;
use crate::step::NonFiniteSource;
use crate::teacher::UnimodalModel;
use crate::trainer::sources;
use crate::unwind::{caught, describe};

/// Trains on modality `m` of the batches, by L_S of the loss.
pub(super) struct Task<'a> {
    modality: Modality,
    m: usize,
    loss: Box<dyn G2dLoss + 'a>,
}

/// Logits [B, C] and L_S, a scalar.
pub(super) struct Forward {
    pub logits: Tensor,
    pub loss: Tensor,
}

impl<'a> Task<'a> {
    pub(super) fn new(modality: Modality, m: usize, loss: Box<dyn G2dLoss + 'a>) -> Self {
        Self { modality, m, loss }
    }

    pub(super) fn modality(&self) -> &Modality {
        &self.modality
    }

    /// A batch of the one modality, checked, with the samples that have it; `None` if there are none.
    pub(super) fn select(&self, batch: Batch, device: Device) -> Result<Option<Batch>> {
        let Some(batch) = batch.having(self.m)? else { return Ok(None) };
        let batch = batch.only(self.m)?;
        batch.check(slice::from_ref(&self.modality), device)?;
        Ok(Some(batch))
    }

    /// Runs the model on a selected batch and computes L_S.
    pub(super) fn forward(
        &self,
        model: &dyn UnimodalModel,
        batch: &Batch,
        train: bool,
    ) -> Result<Forward> {
        let input = &batch.inputs()[0];
        let part = || format!("model of {:?}", self.modality);
        let inputs = || describe(input.tensors());
        let (features, logits) = caught(part, inputs, || model.forward(input, train))?;
        let rows = batch.size();
        let [features_size, size] = [features.size(), logits.size()];
        let empty = features_size.contains(&0) || size.contains(&0);
        if size.len() != 2 || size[0] != rows || features_size.first() != Some(&rows) || empty {
            return Err(error::shape(
                format!("features and logits of the model of {:?}", self.modality),
                format!("[{rows}, …] and [{rows}, C]"),
                format!("{:?} and {:?}", features.size(), logits.size()),
                "return (features, logits), in this order, with one row per sample, none of them empty",
            ));
        }
        self.loss.check_targets(&logits.size(), batch.targets())?;
        let terms = self.loss.terms(&Input {
            modalities: slice::from_ref(&self.modality),
            logits: &logits,
            features: slice::from_ref(&features),
            teachers: &[],
            unimodal: &[],
            rows: &[Rows::All],
            targets: batch.targets(),
            extras: batch.extras(),
        })?;
        Ok(Forward { logits, loss: terms.task })
    }

    /// Refuses a loss that is not finite; `of` is "training" or "validation".
    pub(super) fn check_finite(&self, of: &str, epoch: u64, step: usize, loss: f64) -> Result<()> {
        if loss.is_finite() {
            return Ok(());
        }
        let modality = &self.modality;
        let what =
            format!("{of} loss of the teacher of {modality:?} in epoch {epoch}, step {step}");
        Err(sources::not_finite(what, loss))
    }

    /// The error of a `buffer` that is not finite after a step with `samples` samples.
    pub(super) fn buffer_error(
        &self,
        buffer: &NonFiniteSource,
        epoch: u64,
        step: usize,
        samples: f64,
    ) -> Error {
        let modality = &self.modality;
        let what = format!("{buffer} of the teacher of {modality:?} in epoch {epoch}, step {step}");
        let (found, hint) = sources::buffer_hint(samples as i64);
        error::non_finite(what, "finite numbers", found, hint)
    }

    /// The error of an epoch without a batch that has the modality.
    pub(super) fn no_batch(&self, of: &str, epoch: u64) -> Error {
        let what = format!("{of} batches of {:?} in epoch {epoch}", self.modality);
        let expected = "at least one with samples that have the modality";
        error::config(what, expected, "none", "check the loader: it must yield batches every epoch")
    }
}
