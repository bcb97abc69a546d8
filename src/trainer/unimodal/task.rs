//! The task of a teacher: a modality and a loss.

use std::slice;

use tch::{Device, Tensor};

use crate::batch::{Batch, Rows};
use crate::error::{self, Error, Result};
use crate::loss::{G2dLoss, Input, Terms};
use crate::modality::Modality;
use crate::step::Objective;
use crate::teacher::UnimodalModel;
use crate::trainer::{Precision, sources};
use crate::unwind::{caught, describe};

/// Trains on modality `m` of the batches, by L_S of the loss.
pub(super) struct Task {
    m: usize,
    objective: Objective,
    pub(super) precision: Precision,
}

/// Features [B, …], logits [B, C] and L_S, which is the whole loss.
pub(super) struct Forward {
    pub features: Tensor,
    pub logits: Tensor,
    pub terms: Terms,
}

impl Task {
    pub(super) fn new(modality: Modality, m: usize, loss: Box<dyn G2dLoss>) -> Self {
        let objective = Objective::of_one(modality, loss);
        Self { m, objective, precision: Precision::default() }
    }

    pub(super) fn modality(&self) -> &Modality {
        &self.objective.modalities()[0]
    }

    pub(super) fn objective(&self) -> &Objective {
        &self.objective
    }

    /// A batch of the one modality, checked, with the samples that have it; `None` if there are none.
    pub(super) fn select(&self, batch: Batch, device: Device) -> Result<Option<Batch>> {
        let Some(batch) = batch.having(self.m)? else { return Ok(None) };
        let batch = batch.only(self.m)?;
        batch.check(slice::from_ref(self.modality()), device)?;
        Ok(Some(batch))
    }

    /// Runs the model on a selected batch and computes L_S.
    pub(super) fn forward(
        &self,
        model: &dyn UnimodalModel,
        batch: &Batch,
        train: bool,
    ) -> Result<Forward> {
        let (features, logits) = self.outputs(model, batch, train)?;
        let rows = batch.size();
        let [features_size, size] = [features.size(), logits.size()];
        let empty = features_size.contains(&0) || size.contains(&0);
        if size.len() != 2 || size[0] != rows || features_size.first() != Some(&rows) || empty {
            return Err(error::shape(
                format!("features and logits of the model of {:?}", self.modality()),
                format!("[{rows}, …] and [{rows}, C]"),
                format!("{:?} and {:?}", features.size(), logits.size()),
                "return (features, logits), in this order, with one row per sample, none of them empty",
            ));
        }
        self.objective.check_targets(&logits.size(), batch.targets())?;
        let terms = self.objective.terms(&Input {
            modalities: self.objective.modalities(),
            logits: &logits,
            features: slice::from_ref(&features),
            teachers: &[],
            unimodal: &[],
            rows: &[Rows::All],
            targets: batch.targets(),
            extras: batch.extras(),
        })?;
        Ok(Forward { features, logits, terms: Terms::from_task(terms.task) })
    }

    /// Features and logits, computed in the precision of the training.
    fn outputs(
        &self,
        model: &dyn UnimodalModel,
        batch: &Batch,
        train: bool,
    ) -> Result<(Tensor, Tensor)> {
        let input = &batch.inputs()[0];
        let part = || format!("model of {:?}", self.modality());
        let inputs = || describe(input.tensors());
        let _autocast = self.precision.region(batch.device())?;
        let (features, logits) = caught(part, inputs, || model.forward(input, train))?;
        Ok((self.precision.widen(features)?, self.precision.widen(logits)?))
    }

    /// Refuses a loss on validation data that is not finite.
    pub(super) fn check_finite(&self, epoch: u64, step: usize, loss: f64) -> Result<()> {
        if loss.is_finite() {
            return Ok(());
        }
        let what = format!("validation loss in epoch {epoch}, step {step}");
        Err(self.describe(sources::not_finite(what, loss)))
    }

    /// Adds the teacher to what an error describes.
    pub(super) fn describe(&self, mut error: Error) -> Error {
        if let Error::NonFinite(mismatch) | Error::Config(mismatch) = &mut error {
            mismatch.what = format!("teacher of {:?}: {}", self.modality(), mismatch.what);
        }
        error
    }

    /// The error of an epoch without a batch that has the modality.
    pub(super) fn no_batch(&self, of: &str, epoch: u64) -> Error {
        let what = format!("{of} batches of {:?} in epoch {epoch}", self.modality());
        let expected = "at least one with samples that have the modality";
        error::config(what, expected, "none", "check the loader: it must yield batches every epoch")
    }
}
