//! One batch, checked.

use tch::{Device, Tensor};

use super::UnimodalTrainer;
use crate::{
    batch::{Batch, Rows},
    error::{self, Result},
    loss,
    teacher::UnimodalModel,
};

/// A batch's logits and L_S.
pub(super) struct Answer {
    pub logits: Tensor,
    pub loss: Tensor,
}

impl UnimodalTrainer<'_> {
    /// The samples that have the modality, on the model's device; `None` where none has.
    pub(super) fn own(&self, batch: Batch, device: Device) -> Result<Option<Batch>> {
        let Some(batch) = batch.having(self.m)? else { return Ok(None) };
        let input = batch.checked_input(self.m)?;
        let rows = batch.size();
        if rows == 0 || input.size().first() != Some(&rows) {
            return Err(error::shape(
                format!("input of modality {:?}", self.modality),
                format!(
                    "[{rows}, …] like the targets {:?}, at least 1 row",
                    batch.targets().size()
                ),
                format!("{:?}", input.size()),
                "every sample needs one row and one target; leave empty batches out",
            ));
        }
        for (what, tensor) in [("input", input), ("targets", batch.targets())] {
            if tensor.device() != device {
                return Err(error::device(
                    format!("{what} of modality {:?}", self.modality),
                    format!("{device:?}, where the model is"),
                    format!("{:?}", tensor.device()),
                    "move the batch with `Batch::to_device`",
                ));
            }
        }
        Ok(Some(batch))
    }

    /// Forward and L_S.
    pub(super) fn answer(
        &self,
        model: &dyn UnimodalModel,
        batch: &Batch,
        train: bool,
    ) -> Result<Answer> {
        let (features, logits) = model.forward(batch.checked_input(self.m)?, train)?;
        let rows = batch.size();
        if logits.dim() != 2 || logits.size()[0] != rows || features.size().first() != Some(&rows) {
            return Err(error::shape(
                format!("features and logits of the model of {:?}", self.modality),
                format!("[{rows}, …] and [{rows}, C]"),
                format!("{:?} and {:?}", features.size(), logits.size()),
                "return (features, logits), in this order, a row a sample",
            ));
        }
        self.loss.check_targets(&logits.size(), batch.targets())?;
        let terms = self.loss.terms(&loss::Input {
            modalities: std::slice::from_ref(&self.modality),
            logits: &logits,
            features: std::slice::from_ref(&features),
            teachers: &[],
            rows: &[Rows::All],
            targets: batch.targets(),
        })?;
        Ok(Answer { loss: terms.task, logits })
    }
}
