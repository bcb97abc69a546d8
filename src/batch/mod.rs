//! A batch of samples, some of which may lack modalities.

mod rows;
mod split;

use std::collections::BTreeMap;

use tch::{Device, Tensor};

pub use rows::Rows;
pub(crate) use split::SplitBatch;

use crate::error::{self, Result};
use crate::modality::Modality;
use crate::{libtorch, transfer};

/// A batch of B samples.
///
/// # Missing modalities
/// [`with_present`](Self::with_present) marks the samples that have a modality, by one flag per
/// sample in host memory. For a modality that some samples lack:
/// - [`Student::encode`](crate::Student::encode) and [`Teacher::output`](crate::Teacher::output)
///   receive a smaller batch: the modality's input, the targets and the ids of the samples that
///   have it. The inputs of the other modalities have no rows in it.
/// - [`Student::fuse`](crate::Student::fuse) receives zeros without gradient as the features of the
///   samples that lack it.
/// - ρ, L_feat and L_logit of the modality leave these samples out.
///
/// The rows of the input that belong to samples without the modality are never read.
#[derive(Debug)]
pub struct Batch {
    inputs: Vec<Tensor>,
    targets: Tensor,
    ids: Option<Vec<i64>>,
    present: BTreeMap<usize, Vec<bool>>,
}

impl Batch {
    /// A batch of an input [B, …] per modality, in the student's order, and targets \[B\] or
    /// [B, D].
    ///
    /// The loss defines the targets: [`Classification`](crate::loss::Classification) takes labels,
    /// [`Regression`](crate::loss::Regression) values.
    /// [`G2dTrainer::step`](crate::G2dTrainer::step) checks the shapes.
    pub fn new(inputs: impl Into<Vec<Tensor>>, targets: Tensor) -> Self {
        Self { inputs: inputs.into(), targets, ids: None, present: BTreeMap::new() }
    }

    /// Adds one id per sample, which a [`Cached`](crate::teacher::Cached) teacher needs.
    pub fn with_ids(mut self, ids: impl Into<Vec<i64>>) -> Self {
        self.ids = Some(ids.into());
        self
    }

    /// Adds flags, one per sample: whether the sample has modality `m`. A modality without flags is
    /// present in all samples.
    ///
    /// Every sample needs at least one modality. Batch norm in training needs two samples that have
    /// the modality, as it needs two samples in any batch.
    ///
    /// # Example
    /// ```
    /// use g2d::Batch;
    /// use tch::{Device, Kind, Tensor};
    ///
    /// let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    /// let labels = Tensor::from_slice(&[0_i64, 1, 1]);
    /// // The second sample has no video: its row of the second input is not read.
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
    /// If the batch has no modality `m`; the trainer checks batches before it passes them on.
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

    /// The sample ids, if [`with_ids`](Self::with_ids) has set them.
    pub fn ids(&self) -> Option<&[i64]> {
        self.ids.as_deref()
    }

    /// The flags of modality `m`, one per sample; `None` if all samples have it.
    pub fn present(&self, m: usize) -> Option<&[bool]> {
        self.present.get(&m).map(Vec::as_slice)
    }

    /// The number of samples B: the first dimension of the targets, or 0 if they have none.
    pub fn size(&self) -> i64 {
        self.targets.size().first().copied().unwrap_or(0)
    }

    /// The device of the targets.
    pub fn device(&self) -> Device {
        self.targets.device()
    }

    /// Copies the batch to `device`. From the host to a GPU the copy goes through pinned memory and
    /// does not block.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if libtorch cannot copy to `device`.
    pub fn to_device(&self, device: Device) -> Result<Self> {
        self.map(|tensor| transfer::send(tensor, device))
    }

    /// Copies the batch, which must be in host memory, to pinned memory, as PyTorch's
    /// `Tensor.pin_memory`.
    ///
    /// A data loader calls it on its worker threads, so that [`to_device`](Self::to_device) on the
    /// training thread only starts an asynchronous copy to the GPU. Pinned tensors are not copied.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) without a GPU, or if the memory cannot be pinned.
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

    /// Returns the input of modality `m`, or an error if the batch has none.
    pub(crate) fn checked_input(&self, m: usize) -> Result<&Tensor> {
        self.inputs.get(m).ok_or_else(|| {
            let expected = format!("an index below {}, the inputs of the batch", self.inputs.len());
            error::config("index of a modality", expected, m, INDEX_HINT)
        })
    }

    /// Returns the samples that have modality `m`, or `None` if none has it. Checks the index, the
    /// number of rows and the number of flags.
    pub(crate) fn having(self, m: usize) -> Result<Option<Self>> {
        let input = self.checked_input(m)?;
        let name = format!("of index {m}");
        self.check_size()?;
        self.check_flags(m, name.clone())?;
        self.check_input(m, &name, input)?;
        match self.rows(m)? {
            Rows::All => Ok(Some(self)),
            Rows::Missing => Ok(None),
            rows @ Rows::Part(_) => self.select(m, &rows).map(Some),
        }
    }

    /// The rows that have modality `m`.
    pub(crate) fn rows(&self, m: usize) -> Result<Rows> {
        self.present(m).map_or(Ok(Rows::All), |present| Rows::from_present(present, self.device()))
    }

    /// Input `m`, targets and ids of the samples in `rows`, which are those that have modality `m`.
    pub(crate) fn select(&self, m: usize, rows: &Rows) -> Result<Self> {
        let select = |(j, input)| match j == m {
            true => rows.select(input),
            false => Rows::Missing.select(input),
        };
        let mut ids = self.ids.clone();
        if let (Some(ids), Some(present)) = (&mut ids, self.present(m)) {
            let mut present = present.iter();
            ids.retain(|_| present.next() == Some(&true));
        }
        Ok(Self {
            inputs: self.inputs.iter().enumerate().map(select).collect::<Result<_>>()?,
            targets: rows.select(&self.targets)?,
            ids,
            present: BTreeMap::new(),
        })
    }

    /// Checks that there is one input per modality, that all inputs have B ≥ 1 rows, that every
    /// tensor is on `device`, the model's, and that ids and flags fit.
    pub(crate) fn check(&self, modalities: &[Modality], device: Device) -> Result<()> {
        if self.inputs.len() != modalities.len() {
            let expected = format!("{} inputs, one for each of {modalities:?}", modalities.len());
            let hint = "pass the inputs in the student's order";
            return Err(error::shape("batch", expected, self.inputs.len(), hint));
        }
        self.check_size()?;
        let named = modalities.iter().zip(&self.inputs).map(|(m, input)| (m.name(), input));
        for (m, (name, input)) in named.clone().enumerate() {
            self.check_input(m, &format!("{name:?}"), input)?;
        }
        for (name, tensor) in named.chain([("targets", &self.targets)]) {
            if tensor.device() != device {
                let what = format!("{name:?} in the batch");
                let hint = "move the batch with `Batch::to_device`";
                return Err(error::wrong_device(what, device, "model", tensor.device(), hint));
            }
        }
        if let Some(ids) = &self.ids {
            self.check_count("sample ids", ids.len())?;
        }
        self.check_present(modalities)
    }

    /// Checks that there is a sample.
    fn check_size(&self) -> Result<()> {
        if self.size() > 0 {
            return Ok(());
        }
        let (size, hint) = (self.targets.size(), "leave out empty batches");
        Err(error::wrong_shape("targets", "[B] or [B, D] with B of at least 1", &size, hint))
    }

    /// Checks that the input of modality `m` has B rows, which are not empty if a sample has it.
    fn check_input(&self, m: usize, name: &str, input: &Tensor) -> Result<()> {
        let (rows, size) = (self.size(), input.size());
        let what = format!("input of modality {name}");
        if size.first() != Some(&rows) {
            let expected = format!("[{rows}, …] like the targets {:?}", self.targets.size());
            let hint = "pass one row per sample of every modality";
            return Err(error::wrong_shape(what, expected, &size, hint));
        }
        let is_read = self.present(m).is_none_or(|present| present.contains(&true));
        if is_read && size.contains(&0) {
            let expected = format!("[{rows}, …] without a dimension of 0");
            let hint = "mark samples without the modality by `Batch::with_present`";
            return Err(error::wrong_shape(what, expected, &size, hint));
        }
        Ok(())
    }

    /// Checks that the flags of every modality fit, and that every sample has a modality.
    fn check_present(&self, modalities: &[Modality]) -> Result<()> {
        for &m in self.present.keys() {
            let Some(modality) = modalities.get(m) else {
                let what = "modality given to `Batch::with_present`";
                let expected = format!("an index below {}, into {modalities:?}", modalities.len());
                return Err(error::config(what, expected, m, INDEX_HINT));
            };
            self.check_flags(m, format!("{modality:?}"))?;
        }
        if self.present.len() < modalities.len() {
            return Ok(()); // every sample has the modality without flags
        }
        let lacks_all = |&row: &usize| self.present.values().all(|present| !present[row]);
        match (0..self.size() as usize).find(lacks_all) {
            None => Ok(()),
            Some(row) => Err(error::config(
                format!("sample {row} of the batch"),
                format!("at least one of {modalities:?}"),
                "none of them present",
                "leave out samples that have no modality",
            )),
        }
    }

    /// Checks the number of flags of modality `m`, if it has any.
    fn check_flags(&self, m: usize, name: String) -> Result<()> {
        let flags = self.present(m);
        flags.map_or(Ok(()), |flags| {
            self.check_count(&format!("flags of modality {name}"), flags.len())
        })
    }

    /// Checks that there are as many of `what` as samples.
    fn check_count(&self, what: &str, found: usize) -> Result<()> {
        if found as i64 == self.size() {
            return Ok(());
        }
        let expected = format!("{}, one per sample", self.size());
        Err(error::shape(what, expected, found, "pass one for every sample of the batch"))
    }
}

const INDEX_HINT: &str = "count modalities in the student's order, from 0";
