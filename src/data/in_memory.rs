//! Samples in memory, cut into batches.

use rand::{Rng, seq::SliceRandom};
use tch::{Device, Kind, Tensor};

use crate::{
    batch::Batch,
    error::{self, Error, Result},
    modality::Modality,
};

/// N samples: an input [N, …] per modality and targets [N, …].
///
/// `Uint8` inputs become floats in [0, 1] when a batch is made. A sample's id is its row, counted
/// from 0, unless it was taken out of a larger set, where its id stays.
#[derive(Debug)]
pub struct InMemory {
    modalities: Vec<Modality>,
    inputs: Vec<Tensor>,
    targets: Tensor,
    ids: Vec<i64>,
}

/// The order in which samples are batched.
pub enum Order<'r> {
    /// As they are stored.
    Stored,
    /// Shuffled by this generator: the same generator state gives the same order.
    Shuffled(&'r mut dyn rand::RngCore),
}

impl InMemory {
    /// Samples with ids 0, 1, 2, ….
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no sample, or an input has another number of rows than the targets.
    pub fn new(modalities: Vec<Modality>, inputs: Vec<Tensor>, targets: Tensor) -> Result<Self> {
        let samples = targets.size().first().copied().unwrap_or(0);
        let right = |input: &Tensor| input.size().first() == Some(&samples);
        if samples == 0 || inputs.len() != modalities.len() || !inputs.iter().all(right) {
            return Err(error::shape(
                format!("samples of {modalities:?}"),
                format!("inputs [{samples}, …] for each, and at least 1 sample"),
                format!("{:?}", inputs.iter().map(Tensor::size).collect::<Vec<_>>()),
                "every modality and the targets need the same number of rows",
            ));
        }
        Ok(Self { modalities, inputs, targets, ids: (0..samples).collect() })
    }

    /// The modalities, in the order of the inputs.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never: an empty set cannot be made.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The targets [N, …].
    pub fn targets(&self) -> &Tensor {
        &self.targets
    }

    /// The input [N, …] of modality `m`, as stored.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn input(&self, m: usize) -> &Tensor {
        &self.inputs[m]
    }

    /// A second handle on the same samples, for another thread.
    pub fn share(&self) -> Self {
        Self {
            modalities: self.modalities.clone(),
            inputs: self.inputs.iter().map(Tensor::shallow_clone).collect(),
            targets: self.targets.shallow_clone(),
            ids: self.ids.clone(),
        }
    }

    /// Takes a random share of the samples out: (the rest, the part held out).
    ///
    /// # Errors
    /// [`Error::Config`] if either part would be empty.
    pub fn hold_out(self, share: f64, rng: &mut impl Rng) -> Result<(Self, Self)> {
        let held = (self.len() as f64 * share).round() as usize;
        if held == 0 || held >= self.len() {
            return Err(error::config(
                format!("share of {} samples to hold out", self.len()),
                "a part that leaves samples on both sides",
                format!("{share}"),
                "choose a share between 0 and 1",
            ));
        }
        let mut rows: Vec<i64> = (0..self.len() as i64).collect();
        rows.shuffle(rng);
        let (held, rest) = rows.split_at(held);
        Ok((self.select(rest)?, self.select(held)?))
    }

    /// The first `n` samples, or all if there are fewer.
    ///
    /// # Errors
    /// [`Error::Config`] for none.
    pub fn first(self, n: usize) -> Result<Self> {
        if n == 0 {
            return Err(error::config("first samples", "at least 1", "0", "ask for more"));
        }
        let rows: Vec<i64> = (0..n.min(self.len()) as i64).collect();
        self.select(&rows)
    }

    fn select(&self, rows: &[i64]) -> Result<Self> {
        let index = Tensor::from_slice(rows);
        let pick = |from: &Tensor| from.f_index_select(0, &index);
        let inputs = self.inputs.iter().map(pick).collect::<std::result::Result<_, _>>();
        let failed = |e| Error::torch("pick samples", e);
        Ok(Self {
            modalities: self.modalities.clone(),
            inputs: inputs.map_err(failed)?,
            targets: pick(&self.targets).map_err(failed)?,
            ids: rows.iter().map(|&row| self.ids[row as usize]).collect(),
        })
    }

    /// All samples once, in batches of `size` (the last may be smaller), on `device`.
    pub fn batches<'s>(
        &'s self,
        size: usize,
        order: Order<'_>,
        device: Device,
    ) -> impl Iterator<Item = Result<Batch>> + use<'s> {
        let mut rows: Vec<i64> = (0..self.len() as i64).collect();
        if let Order::Shuffled(rng) = order {
            rows.shuffle(rng);
        }
        let chunks: Vec<Vec<i64>> = rows.chunks(size.max(1)).map(<[i64]>::to_vec).collect();
        chunks.into_iter().map(move |rows| self.select(&rows)?.into_batch(device))
    }

    fn into_batch(self, device: Device) -> Result<Batch> {
        let to_float = |input: &Tensor| match input.kind() {
            Kind::Uint8 => Ok(input.f_to_device(device)?.f_to_kind(Kind::Float)? / 255.0),
            _ => input.f_to_device(device),
        };
        let inputs = self.inputs.iter().map(to_float).collect::<std::result::Result<Vec<_>, _>>();
        let targets = self.targets.f_to_device(device);
        let failed = |e| Error::torch("make a batch", e);
        Ok(Batch::new(inputs.map_err(failed)?, targets.map_err(failed)?).with_ids(self.ids))
    }
}
