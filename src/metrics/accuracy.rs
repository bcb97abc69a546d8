//! Shares of correct predictions.

use tch::{Kind, Tensor};

use super::{
    counts::class_counts,
    failed,
    labelled::{Labelled, Truth, mean},
};
use crate::error::{self, Result};

/// The share of correct predictions, from 0 to 1: of the N rows for class labels, of the N · C labels
/// for sets of labels.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn accuracy(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let labelled = Labelled::new(logits, targets)?;
    let correct = match &labelled.truth {
        Truth::Classes(labels) => labelled.predicted_classes()?.f_eq_tensor(labels),
        Truth::Sets(sets) => labelled.predicted_sets().f_eq_tensor(sets),
    };
    mean(&correct.map_err(failed)?)
}

/// The share of rows whose whole set of labels is predicted, from 0 to 1; for class labels as
/// [`accuracy`]. This is scikit-learn's `accuracy_score` of several labels.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn subset_accuracy(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let labelled = Labelled::new(logits, targets)?;
    match &labelled.truth {
        Truth::Classes(_) => accuracy(logits, targets),
        Truth::Sets(sets) => {
            let whole =
                labelled.predicted_sets().f_eq_tensor(sets).and_then(|c| c.f_all_dim(1, false));
            mean(&whole.map_err(failed)?)
        }
    }
}

/// The share of rows whose label is among the k largest logits, from 0 to 1. For class labels alone. Of
/// equal logits that of the lower class counts as larger, as for [`accuracy`], which is the case k = 1;
/// scikit-learn prefers the higher class.
///
/// # Errors
/// As [every metric](super) of a classification; [`Error::Config`](crate::Error::Config) for a k outside
/// `1..=C`.
pub fn top_k_accuracy(logits: &Tensor, targets: &Tensor, k: usize) -> Result<f64> {
    let (labelled, labels) = Labelled::classes("top-k accuracy", logits, targets)?;
    let classes = labelled.width();
    if !(1..=classes).contains(&k) {
        return Err(error::out_of_range("k of the top-k accuracy", format!("1..={classes}"), k));
    }
    let before = || {
        let labels = labels.f_unsqueeze(1)?;
        let own = labelled.logits.f_gather(1, &labels, false)?;
        let index = Tensor::f_arange(classes as i64, (Kind::Int64, labels.device()))?;
        let ties =
            labelled.logits.f_eq_tensor(&own)?.f_logical_and(&index.f_lt_tensor(&labels)?)?;
        let before = labelled.logits.f_gt_tensor(&own)?.f_logical_or(&ties)?;
        before.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Int64)
    };
    mean(&before().map_err(failed)?.lt(k as i64))
}

/// The mean recall over the classes that have a sample, from 0 to 1. For sets of labels the mean over
/// the labels of ½ (recall + specificity), of which one is left out where a label is set in no row or in
/// all: scikit-learn's `balanced_accuracy_score` of each label.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn balanced_accuracy(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    let counts = class_counts(logits, targets)?;
    let recall = |c: &super::ClassCounts| (c.samples() > 0).then(|| c.recall());
    if targets.dim() == 1 {
        return Ok(mean(&counts.iter().filter_map(recall).collect::<Vec<_>>()));
    }
    let balanced = |c: &super::ClassCounts| {
        let rest = c.true_negatives + c.false_positives;
        let specificity = (rest > 0).then(|| c.true_negatives as f64 / rest as f64);
        mean(&recall(c).into_iter().chain(specificity).collect::<Vec<_>>())
    };
    Ok(mean(&counts.iter().map(balanced).collect::<Vec<_>>()))
}
