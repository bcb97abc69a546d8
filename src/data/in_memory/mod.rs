//! A data set in memory.

mod check;
mod split;

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::BatchOrder;
use crate::batch::{Batch, Input};
use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::transfer;

/// A data set of N samples in memory: an input per modality, and targets [N, …].
///
/// Batches convert `Uint8` inputs of one tensor to floats from 0 to 1; the tensors of an
/// [`Input`] with several keep their dtype. The id of a sample is its row, counted from 0, unless
/// [`with_ids`](Self::with_ids) sets it. Splits and selections keep the ids.
///
/// # Example
/// ```
/// use g2d::data::{BatchOrder, InMemory};
/// use tch::{Device, Tensor, kind};
///
/// let audio = Tensor::zeros([100, 1, 20, 20], kind::FLOAT_CPU);
/// let text = Tensor::zeros([100, 300], kind::FLOAT_CPU);
/// let labels = Tensor::arange(100, kind::INT64_CPU).remainder(4);
/// let has_text: Vec<bool> = (0..100).map(|row| row % 3 != 0).collect();
///
/// let all = InMemory::new(["audio", "text"], [audio, text], labels)?.with_present("text", has_text)?;
/// let (train, val) = all.hold_out_by_class(0.2, 7)?;
/// let order = BatchOrder::shuffled(16, 7);
/// for epoch in 0..3 {
///     for batch in train.batches(&order, epoch, Device::Cpu) {
///         assert_eq!(batch?.size(), 16);
///     }
/// }
/// assert_eq!(val.len(), 20);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct InMemory {
    modalities: Vec<Modality>,
    inputs: Vec<Input>,
    targets: Tensor,
    extras: BTreeMap<String, Tensor>,
    present: BTreeMap<usize, Vec<bool>>,
    ids: Vec<i64>,
}

impl InMemory {
    /// A data set with an input per modality, in the order of the names: a tensor [N, …], or an [`Input`]
    /// of several. The samples have the ids 0, 1, 2, ….
    ///
    /// # Errors
    /// [`Error::Config`] if there are not as many inputs as modalities, and for a name that is there
    /// twice; [`Error::Shape`] without samples, if inputs and targets differ in their number of rows, and
    /// for a tensor with a dimension of 0; [`Error::Device`] if they are not on one device.
    pub fn new(
        modalities: impl IntoIterator<Item = impl Into<Modality>>,
        inputs: impl IntoIterator<Item = impl Into<Input>>,
        targets: Tensor,
    ) -> Result<Self> {
        let set = Self {
            modalities: modalities.into_iter().map(Into::into).collect(),
            inputs: inputs.into_iter().map(Into::into).collect(),
            ids: (0..targets.size().first().copied().unwrap_or(0)).collect(),
            targets,
            extras: BTreeMap::new(),
            present: BTreeMap::new(),
        };
        set.check()?;
        Ok(set)
    }

    /// Sets the ids of the samples, one for each, by which a [`Cached`](crate::teacher::Cached) teacher
    /// finds its outputs.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of ids, [`Error::Config`] for an id that is there twice.
    pub fn with_ids(mut self, ids: impl Into<Vec<i64>>) -> Result<Self> {
        self.ids = self.checked_ids(ids.into())?;
        Ok(self)
    }

    /// Adds a tensor [N, …] beside inputs and targets, such as sample weights, or replaces the one of this
    /// name. Batches have it as [`Batch::with_extra`] adds it.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of rows, [`Error::Device`] for another device.
    pub fn with_extra(mut self, name: impl Into<String>, tensor: Tensor) -> Result<Self> {
        let name = name.into();
        self.check_tensor(&format!("extra {name:?}"), &tensor)?;
        self.extras.insert(name, tensor);
        Ok(self)
    }

    /// Adds flags, one per sample: whether the sample has the modality. Batches have them as
    /// [`Batch::with_present`] adds them.
    ///
    /// # Errors
    /// [`Error::Config`] for a modality that the data set does not have, and for a sample that would have
    /// no modality; [`Error::Shape`] for another number of flags.
    pub fn with_present(
        mut self,
        modality: impl Into<Modality>,
        flags: impl Into<Vec<bool>>,
    ) -> Result<Self> {
        let m = self.index(&modality.into())?;
        self.present.insert(m, flags.into());
        self.check_present(m)?;
        Ok(self)
    }

    /// The modalities, in the order of the inputs.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns whether there are no samples: always `false`, since [`new`](Self::new) requires one.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The targets [N, …].
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// The input [N, …] of modality `m`, as stored: its first tensor, and its only one unless the data
    /// set was made from an [`Input`] of several.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn input(&self, m: usize) -> &Tensor {
        self.inputs[m].first()
    }

    /// The inputs of all modalities.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The ids of the samples.
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// The flags of modality `m`, one per sample; `None` if all samples have it.
    pub fn present(&self, m: usize) -> Option<&[bool]> {
        self.present.get(&m).map(Vec::as_slice)
    }

    /// A shallow clone, which shares the samples, for another thread.
    pub fn share(&self) -> Self {
        let extras = self.extras.iter().map(|(name, t)| (name.clone(), t.shallow_clone()));
        Self {
            modalities: self.modalities.clone(),
            inputs: self.inputs.iter().map(Input::shallow_clone).collect(),
            targets: self.targets.shallow_clone(),
            extras: extras.collect(),
            present: self.present.clone(),
            ids: self.ids.clone(),
        }
    }

    /// Iterates over the batches of `epoch` on `device`. An order that gives no batch is an error in place
    /// of the first batch.
    ///
    /// A run that resumes within an epoch skips batches by [`Iterator::skip`].
    pub fn batches<'s>(
        &'s self,
        order: &BatchOrder,
        epoch: u64,
        device: Device,
    ) -> impl Iterator<Item = Result<Batch>> + use<'s> {
        let (batches, error) = match order.batches(self.len(), epoch) {
            Ok(batches) => (batches, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        error.into_iter().chain(self.batches_of(batches, device))
    }

    /// Iterates over batches of the samples at these rows, in an order of your own.
    pub fn batches_of<'s>(
        &'s self,
        rows: Vec<Vec<usize>>,
        device: Device,
    ) -> impl Iterator<Item = Result<Batch>> + use<'s> {
        rows.into_iter().map(move |rows| self.select(&rows)?.into_batch(device))
    }

    fn into_batch(self, device: Device) -> Result<Batch> {
        let send = |tensor: &Tensor| transfer::send(tensor, device);
        let inputs = self.inputs.iter().map(|input| match input.tensors().len() {
            1 if input.kind() == Kind::Uint8 => input.map(|tensor| unit_floats(&send(tensor)?)),
            _ => input.map(send),
        });
        let batch = Batch::new(inputs.collect::<Result<Vec<_>>>()?, send(&self.targets)?);
        let mut batch = batch.with_ids(self.ids);
        for (name, tensor) in self.extras {
            batch = batch.with_extra(name, send(&tensor)?);
        }
        for (m, flags) in self.present {
            if flags.contains(&false) {
                batch = batch.with_present(m, flags);
            }
        }
        Ok(batch)
    }
}

/// Bytes as floats from 0 to 1.
fn unit_floats(bytes: &Tensor) -> Result<Tensor> {
    let floats = bytes.f_to_kind(Kind::Float);
    let floats = floats.and_then(|mut floats| floats.f_divide_(&Tensor::from(255.0_f32)));
    floats.map_err(|e| Error::torch("convert bytes to floats", e))
}
