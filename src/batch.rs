//! One batch: an input per modality, the targets, and who the samples are.

use tch::{Device, Tensor};

use crate::{Modality, Result, error};

/// A batch of B samples.
#[derive(Debug)]
pub struct Batch {
    inputs: Vec<Tensor>,
    targets: Tensor,
    ids: Option<Vec<i64>>,
}

impl Batch {
    /// A batch of one input [B, …] per modality, in the student's order, and targets [B] or [B, D].
    ///
    /// What targets must be is the loss's to say: [`Classification`](crate::Classification) takes
    /// labels, [`Regression`](crate::Regression) values. Shapes are checked by
    /// [`G2dTrainer::step`](crate::G2dTrainer::step).
    pub fn new(inputs: impl Into<Vec<Tensor>>, targets: Tensor) -> Self {
        Self { inputs: inputs.into(), targets, ids: None }
    }

    /// Says which samples these are, one id each; [`CachedTeacher`](crate::CachedTeacher) needs it.
    pub fn with_ids(mut self, ids: impl Into<Vec<i64>>) -> Self {
        self.ids = Some(ids.into());
        self
    }

    /// The input [B, …] of modality `m`.
    ///
    /// # Panics
    /// If the batch has no modality `m`; inside a step the trainer has checked it.
    pub fn input(&self, m: usize) -> &Tensor {
        &self.inputs[m]
    }

    /// The inputs of all modalities, in the student's order.
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// The targets.
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// The sample ids, where the caller gave them.
    pub fn ids(&self) -> Option<&[i64]> {
        self.ids.as_deref()
    }

    /// The number of samples B: the first dimension of the targets (0 if they have none).
    pub fn size(&self) -> i64 {
        self.targets.size().first().copied().unwrap_or(0)
    }

    /// The device of the targets.
    pub fn device(&self) -> Device {
        self.targets.device()
    }

    /// The same batch on `device`.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch cannot copy there.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        let move_to = |tensor: &Tensor| tensor.f_to_device(device);
        let moved = || {
            let inputs = self.inputs.iter().map(move_to).collect::<std::result::Result<_, _>>()?;
            Ok((inputs, move_to(&self.targets)?))
        };
        let (inputs, targets) = moved()
            .map_err(|source| error::Error::torch(format!("copy a batch to {device:?}"), source))?;
        Ok(Self { inputs, targets, ids: self.ids.clone() })
    }

    /// Checks that there is an input a modality, that all have B ≥ 1 rows, and that everything is
    /// on `device` (the targets' own where the caller has no say).
    pub(crate) fn check(&self, modalities: &[Modality], device: Device) -> Result<()> {
        if self.inputs.len() != modalities.len() {
            return Err(error::shape(
                "batch",
                format!("{} inputs, one for each of {modalities:?}", modalities.len()),
                format!("{}", self.inputs.len()),
                "pass the inputs in the student's order",
            ));
        }
        let rows = self.size();
        if rows == 0 {
            return Err(error::shape(
                "targets",
                "[B] or [B, D] with B of at least 1",
                format!("{:?}", self.targets.size()),
                "leave empty batches out",
            ));
        }
        let named = modalities.iter().zip(&self.inputs).map(|(m, input)| (m.name(), input));
        for (name, tensor) in named.clone() {
            if tensor.size().first() != Some(&rows) {
                return Err(error::shape(
                    format!("input of modality {name:?}"),
                    format!("[{rows}, …] like the targets {:?}", self.targets.size()),
                    format!("{:?}", tensor.size()),
                    "every modality needs one row a sample",
                ));
            }
        }
        for (name, tensor) in named.chain([("targets", &self.targets)]) {
            if tensor.device() != device {
                return Err(error::device(
                    format!("{name:?} in the batch"),
                    format!("{device:?}, where the model is"),
                    format!("{:?}", tensor.device()),
                    "move the batch with `Batch::to_device`",
                ));
            }
        }
        match &self.ids {
            Some(ids) if ids.len() as i64 != rows => Err(error::shape(
                "sample ids",
                format!("{rows}, one a sample"),
                format!("{}", ids.len()),
                "give every sample of the batch its id",
            )),
            _ => Ok(()),
        }
    }
}
