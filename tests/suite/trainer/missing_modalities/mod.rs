//! Samples without a modality.
//!
//! - `against_subset.rs`: a step against the same computed on the present rows alone.
//! - `absent.rs`: a modality that is missing in the whole batch.
//! - `schedules.rs`: plans of every scheduler.
//! - `reports.rs`: epoch means, probes, evaluation, caches.

mod absent;
mod against_subset;
mod reports;
mod schedules;

use g2d::{Batch, batch::Input};
use tch::Tensor;

use crate::support::Tiny;

/// A batch with the flags `present[m][row]` and NaN in the inputs of missing rows.
fn masked(student: &Tiny, seed: f64, present: &[Vec<bool>]) -> Batch {
    let rows = present[0].len();
    let whole = student.batch(rows as i64, seed);
    let mask = |(input, present): (&Tensor, &Vec<bool>)| {
        let scale: Vec<f64> = present.iter().map(|&p| if p { 1.0 } else { f64::NAN }).collect();
        let shape: Vec<i64> =
            (0..input.dim()).map(|d| if d == 0 { rows as i64 } else { 1 }).collect();
        input * Tensor::from_slice(&scale).view(shape.as_slice()).to_kind(input.kind())
    };
    let inputs: Vec<_> = whole.inputs().iter().map(Input::first).zip(present).map(mask).collect();
    let batch = Batch::new(inputs, whole.targets().shallow_clone()).with_ids(whole.ids().unwrap());
    present.iter().enumerate().fold(batch, |batch, (m, flags)| batch.with_present(m, flags.clone()))
}

/// The rows of `flags` that are set.
fn rows(flags: &[bool]) -> Vec<i64> {
    (0..).zip(flags).filter(|(_, present)| **present).map(|(row, _)| row).collect()
}
