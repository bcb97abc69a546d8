//! One batch: an input per modality, the targets, who the samples are, and what they lack.

mod rows;
mod split;

use std::collections::BTreeMap;

use tch::{Device, Tensor};

pub use rows::Rows;
pub(crate) use split::SplitBatch;

use crate::{
    error::{self, Result},
    libtorch,
    modality::Modality,
    transfer,
};

/// A batch of B samples.
///
/// # Missing modalities
/// A sample may lack a modality: [`with_present`](Self::with_present) says so with a flag a sample,
/// in host memory. Encoder and teacher of the modality are then given the other samples only; its
/// features are constant zeros, outside the graph, in what the fusion sees of the sample; and its
/// ρ, L_feat and L_logit leave the sample out. The input's rows of such samples are never read.
///
/// What `Student::encode` and `Teacher::output` are given is then a smaller batch: input `m`,
/// targets and ids of the samples that have modality `m`; the other inputs have no rows.
#[derive(Debug)]
pub struct Batch {
    inputs: Vec<Tensor>,
    targets: Tensor,
    ids: Option<Vec<i64>>,
    present: BTreeMap<usize, Vec<bool>>,
}

impl Batch {
    /// A batch of one input [B, …] per modality, in the student's order, and targets \[B\] or [B, D].
    ///
    /// What targets must be is the loss's to say: [`Classification`](crate::loss::Classification) takes
    /// labels, [`Regression`](crate::loss::Regression) values. Shapes are checked by
    /// [`G2dTrainer::step`](crate::trainer::G2dTrainer::step).
    pub fn new(inputs: impl Into<Vec<Tensor>>, targets: Tensor) -> Self {
        Self { inputs: inputs.into(), targets, ids: None, present: BTreeMap::new() }
    }

    /// Says which samples these are, one id each; [`CachedTeacher`](crate::teacher::Cached) needs it.
    pub fn with_ids(mut self, ids: impl Into<Vec<i64>>) -> Self {
        self.ids = Some(ids.into());
        self
    }

    /// Says which samples have modality `m`, one flag a sample; without this all have it.
    ///
    /// Every sample needs at least one modality. Normalisation over the rows that are left (batch
    /// norm in training) needs two of them, as in any batch.
    ///
    /// # Example
    /// ```
    /// use g2d::Batch;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    /// let labels = Tensor::from_slice(&[0_i64, 1, 1]);
    /// // The second sample has no video: whatever stands in its row is not looked at.
    /// let batch = Batch::new([zeros(&[3, 16]), zeros(&[3, 8])], labels)
    ///     .with_present(1, [true, false, true]);
    /// ```
    pub fn with_present(mut self, m: usize, present: impl Into<Vec<bool>>) -> Self {
        self.present.insert(m, present.into());
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

    /// Which samples have modality `m`, where the caller said so; `None` means all.
    pub fn present(&self, m: usize) -> Option<&[bool]> {
        self.present.get(&m).map(Vec::as_slice)
    }

    /// The number of samples B: the first dimension of the targets (0 if they have none).
    pub fn size(&self) -> i64 {
        self.targets.size().first().copied().unwrap_or(0)
    }

    /// The device of the targets.
    pub fn device(&self) -> Device {
        self.targets.device()
    }

    /// The same batch on `device`; from the host to a GPU by page-locked memory, so that nothing waits.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch) if libtorch cannot copy there.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        self.map(|tensor| transfer::send(tensor, device))
    }

    /// The same batch, of host memory, in pinned memory.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch cannot pin memory.
    pub fn pin_memory(&self) -> Result<Self> {
        self.map(libtorch::pin)
    }

    fn map(&self, each: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            inputs: self.inputs.iter().map(&each).collect::<Result<_>>()?,
            targets: each(&self.targets)?,
            ids: self.ids.clone(),
            present: self.present.clone(),
        })
    }

    /// The input of modality `m`, or an error that names it where the batch has none.
    pub(crate) fn checked_input(&self, m: usize) -> Result<&Tensor> {
        self.inputs.get(m).ok_or_else(|| {
            error::config(
                "index of a modality",
                format!("one below {}, the inputs of the batch", self.inputs.len()),
                format!("{m}"),
                "count modalities in the student's order, from 0",
            )
        })
    }

    /// The samples that have modality `m`, or `None` where none has; checks that the batch knows it
    /// and the flags' number.
    pub(crate) fn having(self, m: usize) -> Result<Option<Self>> {
        self.checked_input(m)?;
        self.check_flags(m, &format!("of index {m}"))?;
        match self.rows(m)? {
            Rows::All => Ok(Some(self)),
            Rows::Missing => Ok(None),
            rows @ Rows::Part(_) => self.part(m, &rows).map(Some),
        }
    }

    /// The rows that have modality `m`.
    pub(crate) fn rows(&self, m: usize) -> Result<Rows> {
        self.present(m).map_or(Ok(Rows::All), |present| Rows::from_present(present, self.device()))
    }

    /// Input `m`, targets and ids of the samples in `rows`, those that have modality `m`.
    pub(crate) fn part(&self, m: usize, rows: &Rows) -> Result<Self> {
        let input =
            |(j, input)| if j == m { rows.select(input) } else { Rows::Missing.select(input) };
        let here = |ids: &Vec<i64>| match self.present(m) {
            None => ids.clone(),
            Some(present) => {
                ids.iter().zip(present).filter(|(_, here)| **here).map(|(id, _)| *id).collect()
            }
        };
        Ok(Self {
            inputs: self.inputs.iter().enumerate().map(input).collect::<Result<_>>()?,
            targets: rows.select(&self.targets)?,
            ids: self.ids.as_ref().map(here),
            present: BTreeMap::new(),
        })
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
            _ => self.check_present(modalities),
        }
    }

    /// Checks that flags are one a sample, of modalities that there are, and leave every sample one.
    fn check_present(&self, modalities: &[Modality]) -> Result<()> {
        for &m in self.present.keys() {
            let Some(modality) = modalities.get(m) else {
                return Err(error::config(
                    "modality given to `Batch::with_present`",
                    format!("an index below {}, into {modalities:?}", modalities.len()),
                    format!("{m}"),
                    "count modalities in the student's order, from 0",
                ));
            };
            self.check_flags(m, &format!("{modality:?}"))?;
        }
        if self.present.len() < modalities.len() {
            return Ok(()); // a modality without flags is there in every sample
        }
        match (0..self.size() as usize)
            .find(|&row| self.present.values().all(|present| !present[row]))
        {
            None => Ok(()),
            Some(row) => Err(error::config(
                format!("sample {row} of the batch"),
                format!("at least one of {modalities:?}"),
                "none of them present",
                "leave out samples that have no modality",
            )),
        }
    }

    /// Checks that there is a flag a sample, where there are flags of modality `m`.
    fn check_flags(&self, m: usize, modality: &str) -> Result<()> {
        match self.present(m) {
            Some(present) if present.len() as i64 != self.size() => Err(error::shape(
                format!("flags of modality {modality}"),
                format!("{}, one a sample", self.size()),
                format!("{}", present.len()),
                "say of every sample of the batch whether it has the modality",
            )),
            _ => Ok(()),
        }
    }
}
