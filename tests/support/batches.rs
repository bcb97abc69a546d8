//! Batches derived from other batches.

use g2d::{
    Batch,
    batch::{Input, Rows},
};
use tch::Tensor;

/// The inputs of `batch` with other targets; without ids and presence flags.
pub fn with_targets(batch: &Batch, targets: Tensor) -> Batch {
    let inputs: Vec<_> =
        batch.inputs().iter().map(Input::first).map(Tensor::shallow_clone).collect();
    Batch::new(inputs, targets)
}

/// `batch` with NaN in the input of modality `m`; without ids and presence flags.
pub fn with_nan_input(batch: &Batch, m: usize) -> Batch {
    let corrupt = |(j, x): (usize, &Tensor)| if j == m { x * f64::NAN } else { x.copy() };
    let inputs: Vec<_> = batch.inputs().iter().map(Input::first).enumerate().map(corrupt).collect();
    Batch::new(inputs, batch.targets().copy())
}

/// The rows of `batch` in this order, with their ids if it has any; without presence flags.
pub fn select_rows(batch: &Batch, rows: &[i64]) -> Batch {
    let index = Tensor::from_slice(rows);
    let select = |tensor: &Tensor| tensor.index_select(0, &index);
    let inputs: Vec<_> = batch.inputs().iter().map(Input::first).map(select).collect();
    let selected = Batch::new(inputs, select(batch.targets()));
    let Some(ids) = batch.ids() else { return selected };
    selected.with_ids(rows.iter().map(|&row| ids[row as usize]).collect::<Vec<_>>())
}

/// The rows whose flag is set.
pub fn rows_having(present: &[bool]) -> Rows {
    let set: Vec<i64> = (0..).zip(present).filter(|(_, flag)| **flag).map(|(row, _)| row).collect();
    match set.len() {
        0 => Rows::Missing,
        n if n == present.len() => Rows::All,
        _ => Rows::Part(Tensor::from_slice(&set)),
    }
}
