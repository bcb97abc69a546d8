//! Calibration against the same formulas on plain numbers, whose minima a search on grids finds.
//!
//! - `plain.rs`: the formulas on plain numbers.
//! - `temperature.rs`, `teachers.rs`, `fusion.rs`, `prediction.rs`: the types of the module.
//! - `invalid_input.rs`: data that cannot be calibrated; `saved.rs`: forms in files.
//! - `python.rs`: against PyTorch.

mod fusion;
mod invalid_input;
mod plain;
mod prediction;
mod python;
mod saved;
mod teachers;
mod temperature;

use g2d::{Modality, trainer::Predictions};
use tch::{Kind, Tensor};

use crate::support::{CLASSES, labels, names, wave};

/// Logits [n, 3] of the labels 0, 1, 2, 0, …, some of them wrong; `scale` makes them overconfident.
fn logits(n: i64, phase: f64, scale: f64) -> Tensor {
    (wave(phase, &[n, CLASSES]) + labels(n).one_hot(CLASSES).to_kind(Kind::Double) * 0.6) * scale
}

/// Validation predictions of 40 samples: fused logits and two heads, of which the second is overconfident.
fn predictions() -> Predictions {
    Predictions {
        heads: vec![
            (names(2)[0].clone(), logits(40, 1.3, 1.5)),
            (names(2)[1].clone(), logits(40, 2.4, 9.0)),
        ],
        ..Predictions::new(logits(40, 0.2, 2.0), labels(40))
    }
}

/// As [`predictions`]; every fifth sample lacks m0, and samples 2, 9, 16, … lack m1. Their heads are
/// very wrong.
fn with_missing() -> Predictions {
    let mut predictions = predictions();
    let flags: [Vec<bool>; 2] =
        [(0..40).map(|row| row % 5 > 0).collect(), (0..40).map(|row| row % 7 != 2).collect()];
    for ((modality, logits), flags) in predictions.heads.iter_mut().zip(flags) {
        let wrong = (labels(40) + 1).remainder(CLASSES).one_hot(CLASSES).to_kind(Kind::Double);
        let present = Tensor::from_slice(&flags).unsqueeze(1);
        *logits = logits.where_self(&present, &(wrong * 100.0));
        predictions.present.push((modality.clone(), flags));
    }
    predictions
}

/// The samples that have modality `m`.
fn rows_of(predictions: &Predictions, m: usize) -> Vec<usize> {
    let modality: &Modality = &predictions.heads[m].0;
    let flags = predictions.present.iter().find(|(other, _)| other == modality);
    (0..40).filter(|&row| flags.is_none_or(|(_, flags)| flags[row])).collect()
}
