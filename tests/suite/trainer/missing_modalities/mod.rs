//! Samples that lack a modality.
//!
//! - `against_subset.rs`: a step against the same computed on the subsets by hand.
//! - `absent.rs`: a modality that the whole batch lacks.
//! - `schedules.rs`: who learns then, under every schedule.
//! - `reports.rs`: epochs, probes, evaluation, caches.

mod absent;
mod against_subset;
mod reports;
mod schedules;

use g2d::Batch;
use tch::Tensor;

use crate::support::Tiny;

/// The batch with these flags, `present[m][row]`, targets of its own, and NaN wherever nobody may look.
fn masked(student: &Tiny, seed: f64, present: &[Vec<bool>]) -> Batch {
    let rows = present[0].len();
    let whole = student.batch(rows as i64, seed);
    let spoil = |(input, present): (&Tensor, &Vec<bool>)| {
        let scale: Vec<f64> = present.iter().map(|&p| if p { 1.0 } else { f64::NAN }).collect();
        let shape: Vec<i64> =
            (0..input.dim()).map(|d| if d == 0 { rows as i64 } else { 1 }).collect();
        input * Tensor::from_slice(&scale).view(shape.as_slice()).to_kind(input.kind())
    };
    let inputs: Vec<_> = whole.inputs().iter().zip(present).map(spoil).collect();
    let batch = Batch::new(inputs, whole.targets().shallow_clone()).with_ids(whole.ids().unwrap());
    present.iter().enumerate().fold(batch, |batch, (m, flags)| batch.with_present(m, flags.clone()))
}

/// The rows of `flags` that are set.
fn rows(flags: &[bool]) -> Vec<i64> {
    (0..).zip(flags).filter(|(_, here)| **here).map(|(row, _)| row).collect()
}

/// A batch of these rows of `batch` alone, without masks.
fn subset(batch: &Batch, rows: &[i64]) -> Batch {
    let pick = |t: &Tensor| {
        let picked: Vec<_> = rows.iter().map(|&row| t.select(0, row)).collect();
        Tensor::stack(&picked, 0)
    };
    let inputs: Vec<_> = batch.inputs().iter().map(pick).collect();
    let ids: Vec<i64> = rows.iter().map(|&row| batch.ids().unwrap()[row as usize]).collect();
    Batch::new(inputs, pick(batch.targets())).with_ids(ids)
}
