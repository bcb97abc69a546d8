//! From samples to a batch.

use tch::{Device, Kind, Tensor};

use super::{Sample, column::Column};
use crate::batch::{Batch, Input};
use crate::error::{self, Error, Result};

/// The names of what belongs to padded sequences, as `Input::padded` has them.
const MASK: &str = "mask";
const LENGTHS: &str = "lengths";

/// Makes a batch of samples, without ids: stacks tensors, pads sequences, and marks the samples that lack
/// a modality.
///
/// The rows of such samples are zeros. An input that all samples of the batch lack is a tensor [B, 0], or
/// has the tensors of an empty [`Sample::sequence`].
///
/// # Errors
/// [`Error::Config`] without a sample, and for samples that differ in the number of inputs, in the names
/// of their tensors or in their extras; [`Error::Shape`] and [`Error::Kind`] for tensors of one name that
/// differ in shape or dtype, or that have a dimension of 0; [`Error::Device`] for tensors that are not in
/// host memory. The error names the sample.
pub fn collate(samples: Vec<Sample>) -> Result<Batch> {
    check_inputs_and_extras(&samples)?;
    let labels: Vec<String> = samples.iter().enumerate().map(label).collect();
    let all: Vec<usize> = (0..samples.len()).collect();
    let whole = |what: String, tensors: Vec<Tensor>| {
        Column { what, tensors, rows: &all, labels: &labels }.stacked()
    };

    let targets = samples.iter().map(|sample| sample.target.shallow_clone()).collect();
    let targets = whole("target".to_owned(), targets)?;
    let modalities = 0..samples[0].inputs.len();
    let inputs =
        modalities.clone().map(|m| input(m, &samples, &labels)).collect::<Result<Vec<_>>>()?;
    let mut batch = Batch::new(inputs, targets);
    for m in modalities {
        let present: Vec<bool> = samples.iter().map(|s| s.inputs[m].tensors().is_some()).collect();
        if present.contains(&false) {
            batch = batch.with_present(m, present);
        }
    }
    for name in samples[0].extras.keys() {
        let tensors = samples.iter().map(|sample| sample.extras[name].shallow_clone()).collect();
        let tensor = whole(format!("extra {name:?}"), tensors)?;
        batch = batch.with_extra(name.as_str(), tensor);
    }
    Ok(batch)
}

/// How messages name a sample.
fn label((row, sample): (usize, &Sample)) -> String {
    match sample.id {
        Some(id) => format!("the sample with id {id}"),
        None => format!("sample {row} of the batch"),
    }
}

/// Checks that there is a sample, and that all have as many inputs and the same extras.
fn check_inputs_and_extras(samples: &[Sample]) -> Result<()> {
    let Some(first) = samples.first() else {
        let hint = "leave out empty batches";
        return Err(error::config("samples of a batch", "at least one", 0, hint));
    };
    for found in samples.iter().enumerate() {
        let (own, like) = (label(found), label((0, first)));
        let (expected, count) = (first.inputs.len(), found.1.inputs.len());
        if count != expected {
            let expected = format!("{expected}, as of {like}");
            let hint = "call `Sample::missing` for a modality that a sample lacks";
            return Err(error::config(format!("inputs of {own}"), expected, count, hint));
        }
        if !found.1.extras.keys().eq(first.extras.keys()) {
            let names = |sample: &Sample| format!("{:?}", sample.extras.keys().collect::<Vec<_>>());
            let expected = format!("{}, as of {like}", names(first));
            let hint = "add the same extras to every sample";
            return Err(error::config(format!("extras of {own}"), expected, names(found.1), hint));
        }
    }
    Ok(())
}

/// The input of modality `m`.
fn input(m: usize, samples: &[Sample], labels: &[String]) -> Result<Input> {
    let present = samples.iter().enumerate();
    let present =
        present.filter_map(|(row, s)| Some((row, s.inputs[m].tensors()?, s.inputs[m].form())));
    let (rows, (inputs, forms)): (Vec<usize>, (Vec<&Input>, Vec<String>)) =
        present.map(|(row, input, form)| (row, (input, form))).unzip();
    if let Some(i) = forms.iter().position(|form| *form != forms[0]) {
        let what = format!("input of modality {m} of {}", labels[rows[i]]);
        let expected = format!("{}, as of {}", forms[0], labels[rows[0]]);
        let hint = "make the input of a modality in the same way for every sample";
        return Err(error::config(what, expected, &forms[i], hint));
    }
    let column = |name: &str, tensors| {
        let what = format!("{name:?} in the input of modality {m}");
        Column { what, tensors, rows: &rows, labels }
    };
    let names = inputs.first().into_iter().flat_map(|input| input.tensors());
    let columns = names.map(|(name, _)| {
        let tensors = inputs.iter().map(|input| Ok(input.tensor(name)?.shallow_clone()));
        Ok((name.to_owned(), column(name, tensors.collect::<Result<_>>()?)))
    });
    let columns: Vec<(String, Column)> = columns.collect::<Result<_>>()?;
    let is_sequence = rows.first().is_some_and(|&row| samples[row].inputs[m].is_sequence());
    let tensors = if is_sequence {
        padded(&columns)?
    } else {
        let stacked = |(name, column): (String, Column)| Ok((name, column.stacked()?));
        columns.into_iter().map(stacked).collect::<Result<Vec<_>>>()?
    };
    let mut tensors = tensors.into_iter();
    let Some((name, first)) = tensors.next() else {
        let empty = samples.iter().find_map(|sample| sample.inputs[m].empty_sequence());
        return absent(empty, samples.len() as i64);
    };
    Ok(tensors.fold(Input::new(name, first), |input, (name, tensor)| input.with(name, tensor)))
}

/// The input of a modality that all `rows` samples lack, with the names of an empty sequence if there is
/// one.
fn absent(sequence: Option<&Input>, rows: i64) -> Result<Input> {
    let zeros = |size: &[i64], kind| {
        let zeros = Tensor::f_zeros(size, (kind, Device::Cpu));
        zeros.map_err(|e| Error::torch("make a batch of samples", e))
    };
    let Some(sequence) = sequence else { return Ok(zeros(&[rows, 0], Kind::Float)?.into()) };
    let mut input =
        sequence.map(|tensor| zeros(&[&[rows, 1], &tensor.size()[1..]].concat(), tensor.kind()))?;
    for (name, size, kind) in
        [(MASK, vec![rows, 1], Kind::Bool), (LENGTHS, vec![rows], Kind::Int64)]
    {
        if sequence.tensor(name).is_err() {
            input = input.with(name, zeros(&size, kind)?);
        }
    }
    Ok(input)
}

/// Pads the tensors of a sequence, which have the same lengths, and adds mask and lengths.
fn padded(columns: &[(String, Column)]) -> Result<Vec<(String, Tensor)>> {
    let (mut tensors, mut lengths) = (Vec::new(), Vec::new());
    for (name, column) in columns {
        let (padded, own) = column.padded()?;
        if tensors.is_empty() {
            lengths.clone_from(&own);
        }
        if let Some(i) = (0..own.len()).find(|&i| own[i] != lengths[i]) {
            let expected = format!("{}, as of {:?}", lengths[i], columns[0].0);
            let hint = "pass one row per step in every tensor of a sequence";
            return Err(error::shape(format!("steps of {}", column.of(i)), expected, own[i], hint));
        }
        tensors.push((name.clone(), padded));
    }
    if let Some((_, column)) = columns.first() {
        let mut of_rows = vec![0; column.labels.len()];
        column.rows.iter().zip(&lengths).for_each(|(&row, &length)| of_rows[row] = length);
        let lengths = Tensor::from_slice(&of_rows);
        let longest = of_rows.iter().copied().max().unwrap_or(0);
        let mask = Tensor::f_arange(longest, (Kind::Int64, Device::Cpu))
            .and_then(|steps| steps.f_unsqueeze(0)?.f_lt_tensor(&lengths.f_unsqueeze(1)?))
            .map_err(|e| Error::torch("make the mask of a batch", e))?;
        for (name, tensor) in [(MASK, mask), (LENGTHS, lengths)] {
            if columns.iter().all(|(own, _)| own != name) {
                tensors.push((name.to_owned(), tensor));
            }
        }
    }
    Ok(tensors)
}
