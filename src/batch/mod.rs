//! A batch of samples, some of which may lack modalities.

mod check;
mod extras;
mod input;
mod padding;
mod rows;
mod split;

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

pub use extras::Extras;
pub use input::Input;
pub use rows::Rows;
pub(crate) use split::SplitBatch;

use crate::error::{self, Result};
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
    inputs: Vec<Input>,
    targets: Tensor,
    /// The number of samples, which is read many times in a step.
    size: i64,
    extras: Extras,
    ids: Option<Vec<i64>>,
    present: BTreeMap<usize, Vec<bool>>,
}

impl Batch {
    /// A batch of an input per modality, in the student's order, and targets \[B\] or [B, D].
    ///
    /// An input is a tensor [B, …], or an [`Input`] of several, such as token ids with a mask.
    /// The loss defines the targets: [`Classification`](crate::loss::Classification) takes labels,
    /// [`Regression`](crate::loss::Regression) values.
    /// [`G2dTrainer::step`](crate::G2dTrainer::step) checks the shapes.
    pub fn new(inputs: impl IntoIterator<Item = impl Into<Input>>, targets: Tensor) -> Self {
        Self {
            inputs: inputs.into_iter().map(Into::into).collect(),
            size: rows_of(&targets),
            targets,
            extras: Extras::default(),
            ids: None,
            present: BTreeMap::new(),
        }
    }

    /// A batch without targets, for [`predict`](crate::trainer::predict): its [`targets`](Self::targets)
    /// are a tensor of no columns, [B, 0], on the device of the first input. A loss refuses them.
    pub fn without_targets(inputs: impl IntoIterator<Item = impl Into<Input>>) -> Self {
        let batch = Self::new(inputs, Tensor::new());
        let first = batch.inputs.first().map(Input::first);
        let size = first.map_or(0, rows_of);
        let device = first.map_or(Device::Cpu, Tensor::device);
        Self { targets: Tensor::zeros([size, 0], (Kind::Float, device)), size, ..batch }
    }

    /// Adds a tensor [B, …] with one row per sample, such as sample weights or the targets of a second
    /// task, or replaces the tensor of this name. The loss reads it by
    /// [`loss::Input::extra`](crate::loss::Input::extra), the model by [`extra`](Self::extra).
    pub fn with_extra(mut self, name: impl Into<String>, tensor: Tensor) -> Self {
        self.extras.insert(name, tensor);
        self
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

    /// The input [B, …] of modality `m`: its first tensor, and its only one unless the batch was made
    /// from an [`Input`] of several.
    ///
    /// # Panics
    /// If the batch has no modality `m`; the trainer checks batches before it passes them on.
    pub fn input(&self, m: usize) -> &Tensor {
        self.inputs[m].first()
    }

    /// The tensor [B, …] called `name` of modality `m`, as [`Input::tensor`].
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the batch has no modality `m`, or, with the names that
    /// exist, if the modality has no such tensor.
    pub fn tensor(&self, m: usize, name: &str) -> Result<&Tensor> {
        self.checked_input(m)?.tensor(name)
    }

    /// The inputs of all modalities, in the student's order.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The targets; [B, 0] for a batch [without targets](Self::without_targets).
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// Returns whether the batch has targets.
    pub fn has_targets(&self) -> bool {
        self.targets.size().get(1) != Some(&0)
    }

    /// The tensor [B, …] that [`with_extra`](Self::with_extra) has added.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), with the names that exist, if there is none.
    pub fn extra(&self, name: &str) -> Result<&Tensor> {
        self.extras.get(name)
    }

    /// All tensors that [`with_extra`](Self::with_extra) has added.
    pub fn extras(&self) -> &Extras {
        &self.extras
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
        self.size
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
            inputs: self.inputs.iter().map(|input| input.map(&each)).collect::<Result<_>>()?,
            targets: each(&self.targets)?,
            size: self.size,
            extras: self.extras.map(&each)?,
            ids: self.ids.clone(),
            present: self.present.clone(),
        })
    }

    /// Returns the input of modality `m`, or an error if the batch has none.
    pub(crate) fn checked_input(&self, m: usize) -> Result<&Input> {
        self.inputs.get(m).ok_or_else(|| {
            let expected = format!("an index below {}, the inputs of the batch", self.inputs.len());
            error::config("index of a modality", expected, m, INDEX_HINT)
        })
    }

    /// Returns the samples that have modality `m`, or `None` if none has it. Checks the index, the
    /// number of rows and the number of flags.
    pub(crate) fn having(self, m: usize) -> Result<Option<Self>> {
        self.check_one(m)?;
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

    /// Input `m`, targets, extras and ids of the samples in `rows`, which are those that have modality
    /// `m`.
    pub(crate) fn select(&self, m: usize, rows: &Rows) -> Result<Self> {
        self.take(rows, self.present(m), |j| if j == m { rows } else { &Rows::Missing })
    }

    /// The samples that have every modality; `None` without any.
    pub(crate) fn complete(&self) -> Result<Option<Self>> {
        let mut present = vec![true; self.size() as usize];
        for flags in self.present.values() {
            present.iter_mut().zip(flags).for_each(|(all, own)| *all &= own);
        }
        let rows = Rows::from_present(&present, self.device())?;
        if rows.is_missing() {
            return Ok(None);
        }
        self.take(&rows, Some(&present), |_| &rows).map(Some)
    }

    /// The batch without its targets.
    pub(crate) fn drop_targets(mut self) -> Result<Self> {
        let (size, options) = ([self.size(), 0], (Kind::Float, self.device()));
        let none = Tensor::f_zeros(size, options);
        self.targets = none.map_err(|e| error::Error::torch("make a batch without targets", e))?;
        Ok(self)
    }

    /// The batch with other inputs.
    pub(crate) fn with_inputs(&self, inputs: Vec<Input>) -> Result<Self> {
        Ok(Self { inputs, ..self.map(|tensor| Ok(tensor.shallow_clone()))? })
    }

    /// The batch of modality `m` alone, in which its index is 0; all samples have it.
    pub(crate) fn only(mut self, m: usize) -> Result<Self> {
        self.checked_input(m)?;
        self.inputs = vec![self.inputs.swap_remove(m)];
        self.present.clear();
        Ok(self)
    }

    /// Targets, extras and ids of the samples in `rows`, those whose flag in `present` is set, and the
    /// rows `of(m)` of every input.
    fn take<'r>(
        &self,
        rows: &Rows,
        present: Option<&[bool]>,
        of: impl Fn(usize) -> &'r Rows,
    ) -> Result<Self> {
        let own = |(m, input): (usize, &Input)| input.map(|tensor| of(m).select(tensor));
        let mut ids = self.ids.clone();
        if let (Some(ids), Some(present)) = (&mut ids, present) {
            let mut present = present.iter();
            ids.retain(|_| present.next() == Some(&true));
        }
        Ok(Self {
            inputs: self.inputs.iter().enumerate().map(own).collect::<Result<_>>()?,
            targets: rows.select(&self.targets)?,
            size: rows.count(self.size),
            extras: self.extras.select(rows)?,
            ids,
            present: BTreeMap::new(),
        })
    }
}

/// The first dimension of `tensor`, or 0 if it has none.
fn rows_of(tensor: &Tensor) -> i64 {
    tensor.size().first().copied().unwrap_or(0)
}

/// The hint for an index that is not that of a modality.
const INDEX_HINT: &str = "count modalities in the student's order, from 0";
