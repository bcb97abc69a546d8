//! Likelihoods, and the score that selects epochs.

use tch::{Kind, Reduction, Tensor};

use super::{
    accuracy::accuracy,
    failed,
    labelled::{Labelled, Truth, mean},
};
use crate::error::Result;

/// Mean negative log-likelihood in nats, computed in `Double`: the mean of −log softmax(l)\[y\] over the
/// rows for class labels; the mean binary cross-entropy over the N · C labels for sets of labels.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn nll(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let labelled = Labelled::new(logits, targets)?;
    let (logits, none) = (&labelled.logits, None::<&Tensor>);
    let surprise = || match &labelled.truth {
        Truth::Classes(labels) => {
            let log_p = logits.f_log_softmax(1, Kind::Double)?;
            log_p.f_gather(1, &labels.f_unsqueeze(1)?, false)?.f_neg()
        }
        Truth::Sets(sets) => logits.f_to_kind(Kind::Double)?.f_binary_cross_entropy_with_logits(
            &sets.f_to_kind(Kind::Double)?,
            none,
            none,
            Reduction::None,
        ),
    };
    mean(&surprise().map_err(failed)?)
}

/// A score by which epochs are compared on validation data: the number of correct predictions, those of
/// [`accuracy`], plus 1 / (1 + [`nll`]). A higher accuracy always has a higher score; of equal accuracies,
/// which are frequent on small data, the lower NLL has the higher score.
///
/// # Errors
/// As [every metric](super) of a classification.
pub fn selection_score(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let correct = (accuracy(logits, targets)? * targets.numel() as f64).round();
    Ok(correct + 1.0 / (1.0 + nll(logits, targets)?))
}
