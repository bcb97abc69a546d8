//! How far probabilities are from frequencies.

use tch::{Kind, Tensor};

use super::{
    failed,
    labelled::{Labelled, Truth, flags},
};
use crate::error::{self, Result};

/// The expected calibration error Σ_b n_b / n · |share_b − confidence_b|, from 0 to 1, over bins of equal
/// width, bin b of (b / bins, (b + 1) / bins] (Guo et al., "On Calibration of Modern Neural Networks",
/// ICML 2017; 15 bins there).
///
/// For class labels the confidence of a row is its largest probability, and the share is that of correct
/// predictions. For sets of labels each of the N · C labels counts: its confidence is its probability, and
/// the share is that of labels that are set.
///
/// # Errors
/// As [every metric](super) of a classification; [`Error::Config`](crate::Error::Config) for no bin.
pub fn expected_calibration_error(logits: &Tensor, targets: &Tensor, bins: usize) -> Result<f64> {
    if bins == 0 {
        let what = "bins of the expected calibration error";
        return Err(error::out_of_range(what, "at least 1", bins));
    }
    let labelled = Labelled::new(logits, targets)?;
    let pair = || match &labelled.truth {
        Truth::Classes(labels) => {
            let p = labelled.logits.f_softmax(1, Kind::Double)?;
            // The prediction is that of the logits, since large ones have equal probabilities.
            let correct = labelled.logits.f_argmax(1, false)?.f_eq_tensor(labels)?;
            Ok((p.f_amax([1_i64].as_slice(), false)?, correct))
        }
        Truth::Sets(sets) => {
            Ok((labelled.logits.f_to_kind(Kind::Double)?.f_sigmoid()?, sets.shallow_clone()))
        }
    };
    let (confidence, holds) = pair().map_err(failed)?;
    let confidence = confidence.f_flatten(0, -1).and_then(Vec::<f64>::try_from).map_err(failed)?;
    let holds = flags(&holds)?;
    let mut gaps = vec![0.0; bins];
    for (confidence, holds) in confidence.iter().zip(holds) {
        let bin = (confidence * bins as f64).ceil() as usize;
        gaps[bin.clamp(1, bins) - 1] += f64::from(u8::from(holds)) - confidence;
    }
    Ok(gaps.iter().map(|gap| gap.abs()).sum::<f64>() / confidence.len() as f64)
}
