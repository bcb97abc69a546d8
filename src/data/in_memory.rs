//! A data set in memory.

use rand::{Rng, seq::SliceRandom};
use tch::{Device, Kind, Tensor};

use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::modality::Modality;

/// A data set of N samples in memory: an input [N, …] per modality, and targets [N, …].
///
/// Batches convert `Uint8` inputs to floats from 0 to 1. The id of a sample is its row, counted
/// from 0, and does not change when [`hold_out`](Self::hold_out) or [`first`](Self::first) select
/// samples.
#[derive(Debug)]
pub struct InMemory {
    modalities: Vec<Modality>,
    inputs: Vec<Tensor>,
    targets: Tensor,
    ids: Vec<i64>,
}

/// The order in which samples are batched.
pub enum Order<'r> {
    /// The order in which they are stored.
    Stored,
    /// A random order, determined by the state of the generator.
    Shuffled(&'r mut dyn rand::RngCore),
}

impl InMemory {
    /// A data set of samples with the ids 0, 1, 2, ….
    ///
    /// # Errors
    /// [`Error::Shape`] without samples, or if inputs and targets differ in their number of rows.
    pub fn new(modalities: Vec<Modality>, inputs: Vec<Tensor>, targets: Tensor) -> Result<Self> {
        let samples = targets.size().first().copied().unwrap_or(0);
        let fits = |input: &Tensor| input.size().first() == Some(&samples);
        if samples == 0 || inputs.len() != modalities.len() || !inputs.iter().all(fits) {
            return Err(error::shape(
                format!("samples of {modalities:?}"),
                format!("inputs [{samples}, …] for each, and at least 1 sample"),
                format!("{:?}", inputs.iter().map(Tensor::size).collect::<Vec<_>>()),
                "pass the same number of rows for every modality and the targets",
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

    /// Returns whether there are no samples: always `false`, since [`new`](Self::new) requires one.
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

    /// A shallow clone, which shares the samples, for another thread.
    pub fn share(&self) -> Self {
        Self {
            modalities: self.modalities.clone(),
            inputs: self.inputs.iter().map(Tensor::shallow_clone).collect(),
            targets: self.targets.shallow_clone(),
            ids: self.ids.clone(),
        }
    }

    /// Splits off a random fraction of the samples: returns the rest and the part held out.
    ///
    /// # Errors
    /// [`Error::Config`] if one of the two would be empty.
    pub fn hold_out(self, share: f64, rng: &mut impl Rng) -> Result<(Self, Self)> {
        let held = (self.len() as f64 * share).round() as usize;
        if held == 0 || held >= self.len() {
            let what = format!("share of {} samples to hold out", self.len());
            let hint = "choose a share between 0 and 1";
            return Err(error::config(what, "at least 1 sample in each part", share, hint));
        }
        let mut rows: Vec<i64> = (0..self.len() as i64).collect();
        rows.shuffle(rng);
        let (held, rest) = rows.split_at(held);
        Ok((self.select(rest)?, self.select(held)?))
    }

    /// Selects the first `n` samples, or all if there are fewer.
    ///
    /// # Errors
    /// [`Error::Config`] if `n` is 0.
    pub fn first(self, n: usize) -> Result<Self> {
        if n == 0 {
            return Err(error::out_of_range("number of first samples", "at least 1", n));
        }
        let rows: Vec<i64> = (0..n.min(self.len()) as i64).collect();
        self.select(&rows)
    }

    fn select(&self, rows: &[i64]) -> Result<Self> {
        let index = Tensor::from_slice(rows);
        let pick = |from: &Tensor| from.f_index_select(0, &index);
        let inputs = self.inputs.iter().map(pick).collect::<std::result::Result<_, _>>();
        let failed = |e| Error::torch("select samples", e);
        Ok(Self {
            modalities: self.modalities.clone(),
            inputs: inputs.map_err(failed)?,
            targets: pick(&self.targets).map_err(failed)?,
            ids: rows.iter().map(|&row| self.ids[row as usize]).collect(),
        })
    }

    /// Iterates once over all samples, in batches of `size` on `device`; the last may be smaller.
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
