//! Batches of any size from the samples of one batch.

use std::cell::RefCell;

use tch::Tensor;

use super::names::identifier;
use crate::batch::{Batch, Input};
use crate::error::{self, Error, Result};
use crate::modality::Modality;

/// Samples that have every modality.
pub(super) struct Samples {
    batch: Batch,
}

impl Samples {
    /// The samples of a batch that have every modality.
    ///
    /// # Errors
    /// [`Error::Config`] without such a sample, and for a batch that is not valid.
    pub(super) fn new(example: &Batch, modalities: &[Modality]) -> Result<Self> {
        example.check(modalities, example.device())?;
        let batch = example.complete()?.ok_or_else(|| {
            let hint = "choose a batch with samples that lack nothing";
            error::config("example batch", "a sample that has every modality", "none", hint)
        })?;
        Ok(Self { batch })
    }

    /// Number of samples.
    pub(super) fn len(&self) -> i64 {
        self.batch.size()
    }

    /// `size` samples, the first of which has index `start`; from the beginning again after the last.
    pub(super) fn batch(&self, start: i64, size: i64) -> Result<Batch> {
        let rows: Vec<i64> = (start..start + size).map(|row| row % self.len()).collect();
        let rows = Tensor::from_slice(&rows).f_to_device(self.batch.device());
        let rows = rows.map_err(failed)?;
        let select = |tensor: &Tensor| tensor.f_index_select(0, &rows).map_err(failed);
        let inputs = self.batch.inputs().iter().map(|input| input.map(select));
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let mut batch = Batch::new(inputs, select(self.batch.targets())?);
        for (name, tensor) in self.batch.extras().iter() {
            batch = batch.with_extra(name, select(tensor)?);
        }
        Ok(batch)
    }

    /// A name for each tensor of the inputs, in their order: a Python identifier, of the modality if it
    /// has one tensor, else of modality and tensor.
    pub(super) fn input_names(&self, modalities: &[Modality]) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (modality, input) in modalities.iter().zip(self.batch.inputs()) {
            let single = input.tensors().len() == 1;
            for (tensor, _) in input.tensors() {
                let name = if single {
                    identifier(modality.name())
                } else {
                    identifier(&format!("{}_{tensor}", modality.name()))
                };
                let mut unique = name.clone();
                while names.contains(&unique) || unique == "self" {
                    unique.push('_');
                }
                names.push(unique);
            }
        }
        names
    }
}

/// The tensors of the inputs, in their order.
pub(super) fn tensors(batch: &Batch) -> Vec<Tensor> {
    let all = batch.inputs().iter().flat_map(Input::tensors);
    all.map(|(_, tensor)| tensor.shallow_clone()).collect()
}

/// The batch with other tensors, in the order of [`tensors`].
pub(super) fn with_tensors(batch: &Batch, tensors: &[Tensor]) -> Result<Batch> {
    let next = RefCell::new(tensors.iter());
    let replace = |own: &Tensor| {
        Ok(next.borrow_mut().next().map_or_else(|| own.shallow_clone(), Tensor::shallow_clone))
    };
    let inputs = batch.inputs().iter().map(|input| input.map(replace));
    batch.with_inputs(inputs.collect::<Result<_>>()?)
}

fn failed(source: tch::TchError) -> Error {
    Error::torch("select samples of the example batch", source)
}
