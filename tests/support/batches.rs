//! Batches derived from other batches.

use g2d::Batch;
use tch::Tensor;

/// The inputs of `batch` with other targets; without ids and presence flags.
pub fn with_targets(batch: &Batch, targets: Tensor) -> Batch {
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
    Batch::new(inputs, targets)
}

/// `batch` with NaN in the input of modality `m`; without ids and presence flags.
pub fn with_nan_input(batch: &Batch, m: usize) -> Batch {
    let corrupt = |(j, x): (usize, &Tensor)| if j == m { x * f64::NAN } else { x.copy() };
    let inputs: Vec<_> = batch.inputs().iter().enumerate().map(corrupt).collect();
    Batch::new(inputs, batch.targets().copy())
}

/// The rows of `batch` in this order, with their ids; without presence flags.
pub fn select_rows(batch: &Batch, rows: &[i64]) -> Batch {
    let index = Tensor::from_slice(rows);
    let select = |tensor: &Tensor| tensor.index_select(0, &index);
    let inputs: Vec<_> = batch.inputs().iter().map(select).collect();
    let ids: Vec<i64> = rows.iter().map(|&row| batch.ids().unwrap()[row as usize]).collect();
    Batch::new(inputs, select(batch.targets())).with_ids(ids)
}
