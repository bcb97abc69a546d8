//! The functions of a student that are exported.

use tch::Tensor;

use crate::batch::Batch;
use crate::calibration::Prediction;
use crate::error::{self, Result};
use crate::student::{Caught, Features, Student};

/// A function of a batch in which every sample has every modality, in evaluation mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// The logits [B, C]: calibrated if there is a [`Prediction`], else those of the fusion.
    Forward,
    /// The features of all modalities.
    Features,
    /// The unimodal logits [B, C] of all modalities.
    UnimodalLogits,
}

impl Function {
    /// The name of the method.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Features => "features",
            Self::UnimodalLogits => "unimodal_logits",
        }
    }
}

/// A student with its prediction.
pub(super) struct Model<'a> {
    pub student: &'a dyn Student,
    pub prediction: Option<&'a Prediction>,
}

impl Model<'_> {
    /// The values of a function, without gradient.
    pub(super) fn run(&self, function: Function, batch: &Batch) -> Result<Vec<Tensor>> {
        let _no_grad = tch::no_grad_guard();
        let student = Caught(self.student);
        let features = (0..student.modalities().len()).map(|m| student.encode(m, batch, false));
        let tensors = features.collect::<Result<Vec<_>>>()?;
        if function == Function::Features {
            return Ok(tensors);
        }
        let features = Features::new(&tensors, batch)?;
        if function == Function::UnimodalLogits {
            return self.heads(&student, &features);
        }
        let fused = student.fuse(&features, false)?;
        let Some(prediction) = self.prediction else { return Ok(vec![fused]) };
        let heads = match prediction {
            Prediction::Fused(_) => Vec::new(),
            _ => self.heads(&student, &features)?,
        };
        Ok(vec![prediction.combine(&fused, &heads)?.f_to_kind(fused.kind())?])
    }

    /// Whether every modality has a unimodal head.
    pub(super) fn has_heads(&self, batch: &Batch) -> Result<bool> {
        let _no_grad = tch::no_grad_guard();
        let tensors = self.run(Function::Features, batch)?;
        let (features, student) = (Features::new(&tensors, batch)?, Caught(self.student));
        for m in 0..tensors.len() {
            if student.unimodal_logits(m, &features)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn heads(&self, student: &dyn Student, features: &Features<'_>) -> Result<Vec<Tensor>> {
        let heads = student.modalities().iter().enumerate().map(|(m, modality)| {
            student.unimodal_logits(m, features)?.ok_or_else(|| {
                let what = format!("unimodal head of modality {modality:?}");
                let hint = "export the student that was calibrated";
                error::config(what, "unimodal logits, which the prediction needs", "none", hint)
            })
        });
        heads.collect()
    }
}
