//! The checks of a data set in memory.

use std::collections::HashSet;

use tch::Tensor;

use super::InMemory;
use crate::error::{self, Result};
use crate::modality::Modality;

impl InMemory {
    /// Checks modalities, inputs and targets against each other.
    pub(super) fn check(&self) -> Result<()> {
        let Self { modalities, inputs, targets, .. } = self;
        if modalities.len() != inputs.len() || modalities.is_empty() {
            let hint = "pass one input per modality, in the order of the names";
            let what = "inputs of the data set";
            if modalities.is_empty() {
                return Err(error::config(what, "at least one", inputs.len(), hint));
            }
            return Err(error::one_per_modality(what, modalities, inputs.len(), hint));
        }
        for (m, modality) in modalities.iter().enumerate() {
            if modalities[..m].contains(modality) {
                let (expected, hint) = ("distinct names", "give every modality its own name");
                let what = "modalities of the data set";
                return Err(error::config(what, expected, format!("{modality:?} twice"), hint));
            }
        }
        if self.is_empty() {
            let (expected, hint) =
                ("[N] or [N, D] with N of at least 1", "pass at least one sample");
            return Err(error::wrong_shape("targets", expected, &targets.size(), hint));
        }
        self.check_tensor("targets", targets)?;
        for (modality, input) in modalities.iter().zip(inputs) {
            input.tensors().try_for_each(|(name, tensor)| {
                let what = match input.tensors().len() {
                    1 => format!("input of modality {modality:?}"),
                    _ => format!("{name:?} in the input of modality {modality:?}"),
                };
                self.check_tensor(&what, tensor)
            })?;
        }
        Ok(())
    }

    /// Checks that a tensor has N rows, which are not empty, and is on the device of the targets.
    pub(super) fn check_tensor(&self, what: &str, tensor: &Tensor) -> Result<()> {
        let (rows, size) = (self.len() as i64, tensor.size());
        if size.first() != Some(&rows) {
            let expected = format!("[{rows}, …] like the targets {:?}", self.targets().size());
            let hint = "pass one row per sample";
            return Err(error::wrong_shape(what, expected, &size, hint));
        }
        if size.contains(&0) {
            let expected = format!("[{rows}, …] without a dimension of 0");
            let hint = "a sample has at least one value: leave out what is empty";
            return Err(error::wrong_shape(what, expected, &size, hint));
        }
        let (expected, found) = (self.targets().device(), tensor.device());
        if found != expected {
            let hint = "pass all tensors on one device: batches are copied to that of the training";
            return Err(error::wrong_device(what, expected, "targets", found, hint));
        }
        Ok(())
    }

    /// Returns the ids if there is one per sample and none is there twice.
    pub(super) fn checked_ids(&self, ids: Vec<i64>) -> Result<Vec<i64>> {
        self.check_count("ids", ids.len())?;
        let mut seen = HashSet::new();
        match ids.iter().find(|id| !seen.insert(**id)) {
            None => Ok(ids),
            Some(id) => {
                let hint = "give every sample its own id: a cached teacher finds its output by it";
                Err(error::config("ids", "distinct ids", format!("{id} twice"), hint))
            }
        }
    }

    /// Returns the index of a modality.
    pub(super) fn index(&self, modality: &Modality) -> Result<usize> {
        self.modalities.iter().position(|own| own == modality).ok_or_else(|| {
            let expected = format!("one of {:?}", self.modalities);
            let hint = "correct the name";
            error::config("modality of the flags", expected, format!("{modality:?}"), hint)
        })
    }

    /// Checks the flags of modality `m`, and that every sample has a modality.
    pub(super) fn check_present(&self, m: usize) -> Result<()> {
        let flags = self.present(m).map_or(0, <[bool]>::len);
        self.check_count(&format!("flags of modality {:?}", self.modalities[m]), flags)?;
        if self.present.len() < self.modalities.len() {
            return Ok(()); // every sample has the modality without flags
        }
        let lacks_all = |&row: &usize| self.present.values().all(|flags| !flags[row]);
        (0..self.len()).find(lacks_all).map_or(Ok(()), |row| {
            let (what, hint) = (format!("sample {row}"), "leave out samples that have no modality");
            let expected = format!("at least one of {:?}", self.modalities);
            Err(error::config(what, expected, "none of them present", hint))
        })
    }

    fn check_count(&self, what: &str, found: usize) -> Result<()> {
        if found == self.len() {
            return Ok(());
        }
        let expected = format!("{}, one per sample", self.len());
        Err(error::shape(what, expected, found, "pass one for every sample of the data set"))
    }
}
