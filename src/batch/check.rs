//! The checks of a batch.

use std::fmt::{Arguments, Display};

use tch::{Device, Tensor};

use super::{Batch, INDEX_HINT, Input};
use crate::error::{self, Result};
use crate::modality::Modality;

impl Batch {
    /// Checks the index `m` of a modality, its tensors and its number of flags.
    pub(super) fn check_one(&self, m: usize) -> Result<()> {
        let input = self.checked_input(m)?;
        let name = format!("of index {m}");
        self.check_size()?;
        self.check_extras()?;
        self.check_flags(m, &name)?;
        self.check_input(m, &name, input)
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
        self.check_extras()?;
        for (m, (modality, input)) in modalities.iter().zip(&self.inputs).enumerate() {
            self.check_input(m, format_args!("{modality:?}"), input)?;
        }
        let on_device = |name: &str, tensor: &Tensor| {
            if tensor.device() == device {
                return Ok(());
            }
            let what = format!("{name:?} in the batch");
            let hint = "move the batch with `Batch::to_device`";
            Err(error::wrong_device(what, device, "model", tensor.device(), hint))
        };
        for (modality, input) in modalities.iter().zip(&self.inputs) {
            input.tensors().try_for_each(|(_, tensor)| on_device(modality.name(), tensor))?;
        }
        on_device("targets", &self.targets)?;
        self.extras.iter().try_for_each(|(name, tensor)| on_device(name, tensor))?;
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

    /// Checks that all extras have B rows, which are not empty.
    fn check_extras(&self) -> Result<()> {
        self.extras.iter().try_for_each(|(name, tensor)| {
            let hint = "pass one row per sample, none of them empty";
            self.check_tensor(format_args!("extra {name:?}"), tensor, true, hint)
        })
    }

    /// Checks that the tensors of modality `m` have B rows, which are not empty if a sample has it.
    fn check_input(&self, m: usize, name: impl Display, input: &Input) -> Result<()> {
        let is_read = self.present(m).is_none_or(|present| present.contains(&true));
        let is_single = input.tensors().len() == 1;
        input.tensors().try_for_each(|(tensor_name, tensor)| {
            let check = |what: Arguments<'_>| self.check_tensor(what, tensor, is_read, EMPTY_HINT);
            match is_single {
                true => check(format_args!("input of modality {name}")),
                false => check(format_args!("{tensor_name:?} in the input of modality {name}")),
            }
        })
    }

    /// The message is made of `what` on an error alone: the checks of a step are many.
    fn check_tensor(
        &self,
        what: impl Display,
        tensor: &Tensor,
        is_read: bool,
        hint: &str,
    ) -> Result<()> {
        let (rows, size) = (self.size(), tensor.size());
        if size.first() != Some(&rows) {
            let expected = match self.has_targets() {
                true => format!("[{rows}, …] like the targets {:?}", self.targets.size()),
                false => format!("[{rows}, …] like the first input"),
            };
            let hint = "pass one row per sample";
            return Err(error::wrong_shape(what, expected, &size, hint));
        }
        if is_read && size.contains(&0) {
            let expected = format!("[{rows}, …] without a dimension of 0");
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
            self.check_flags(m, format_args!("{modality:?}"))?;
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
    fn check_flags(&self, m: usize, name: impl Display) -> Result<()> {
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

/// The hint for an input with a dimension of 0.
const EMPTY_HINT: &str = "mark samples without the modality by `Batch::with_present`";
