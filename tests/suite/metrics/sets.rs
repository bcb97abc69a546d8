//! Metrics of sets of labels (multi-label) against scikit-learn.

use g2d::{
    Result,
    metrics::{
        Average, accuracy, auroc, auroc_per_class, average_precision, balanced_accuracy,
        class_counts, confusion_matrix, expected_calibration_error, f1, nll, precision, recall,
        selection_score, subset_accuracy, top_k_accuracy,
    },
};
use tch::{Kind, Tensor};

use super::rounded;
use crate::support::{assert_mismatch, assert_number, wave};

// The expected values below were printed by this, with scikit-learn 1.9.1:
//
//   import numpy as np
//   from sklearn import metrics as M
//   w = lambda phase, *s: np.sin(phase + np.arange(np.prod(s))).reshape(s)
//   l, Y = np.round(4 * w(0.5, 12, 4)) / 2, (w(1.2, 12, 4) > 0).astype(int)
//   Y[:, 3] = 0; P = (l > 0).astype(int)

/// 12 rows of 4 labels, with equal logits and logits of 0. The last label is never set.
fn data() -> (Tensor, Tensor) {
    let y = wave(1.2, &[12, 4]).gt(0.0).to_kind(Kind::Float);
    let _ = y.narrow(1, 3, 1).fill_(0.0);
    (rounded(0.5, &[12, 4]), y)
}

/// The labels that are set in a row.
fn first_three() -> (Tensor, Tensor) {
    let (l, y) = data();
    (l.narrow(1, 0, 3), y.narrow(1, 0, 3))
}

#[test]
fn counts_of_labels_agree_with_scikit_learn() {
    let (l, y) = data();
    let counts = class_counts(&l, &y).unwrap();
    // M.multilabel_confusion_matrix(Y, P).reshape(4, 4)
    let found = counts
        .iter()
        .map(|c| [c.true_negatives, c.false_positives, c.false_negatives, c.true_positives]);
    let expected = [[4, 1, 2, 5], [5, 1, 1, 5], [5, 2, 1, 4], [7, 5, 0, 0]];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    // f(Y, P, average=a, zero_division=0) for f in (M.precision_score, M.recall_score, M.f1_score)
    for (average, expected) in [
        (Average::Micro, [0.6086956521739131, 0.7777777777777778, 0.6829268292682927]),
        (Average::Macro, [0.5833333333333334, 0.5869047619047619, 0.5824592074592074]),
        (Average::Weighted, [0.7870370370370371, 0.7777777777777778, 0.778943278943279]),
    ] {
        let found = [precision, recall, f1].map(|metric| metric(&l, &y, average).unwrap());
        (0..3).for_each(|i| assert_number(found[i], expected[i]));
    }
    // (Y == P).mean(); M.accuracy_score(Y, P)
    assert_number(accuracy(&l, &y).unwrap(), 0.7291666666666666);
    assert_number(subset_accuracy(&l, &y).unwrap(), 0.25);
    // np.mean([M.balanced_accuracy_score(Y[:, c], P[:, c]) for c in range(4)])
    assert_number(balanced_accuracy(&l, &y).unwrap(), 0.7327380952380953);
    let none = y.zeros_like();
    assert_eq!(f1(&l, &none, Average::Weighted).unwrap(), 0.0);
}

#[test]
fn scores_of_labels_agree_with_scikit_learn() {
    let (l, y) = first_three();
    // M.roc_auc_score(Y[:, :3], l[:, :3]); M.average_precision_score(the same)
    assert_number(auroc(&l, &y).unwrap(), 0.8960317460317461);
    assert_number(average_precision(&l, &y).unwrap(), 0.9122448979591837);
    let (l, y) = data();
    assert_eq!(auroc_per_class(&l, &y).unwrap()[3], None);
    assert_mismatch(auroc(&l, &y), &["every class", "1 of 4"]);
    // p = 1 / (1 + np.exp(-l)); np.mean([M.log_loss(Y[:, c], p[:, c], labels=[0, 1]) for c in range(4)])
    assert_number(nll(&l, &y).unwrap(), 0.5524055444494854);
    assert_number(selection_score(&l, &y).unwrap(), 35.0 + 1.0 / 1.5524055444494854);
    // As in classes.rs, with c = 1 / (1 + np.exp(-2 * w(0.5, 12, 4))) and ok = Y, 15 bins
    let l = wave(0.5, &[12, 4]) * 2.0;
    assert_number(expected_calibration_error(&l, &y, 15).unwrap(), 0.192135409534262);
}

#[test]
fn metrics_of_class_labels_alone_and_invalid_labels_are_errors() {
    let (l, y) = data();
    let top: fn(&Tensor, &Tensor) -> Result<f64> = |l, y| top_k_accuracy(l, y, 1);
    assert_mismatch(top(&l, &y), &["top-k", "one class label per sample", "class_counts"]);
    assert_mismatch(confusion_matrix(&l, &y), &["confusion matrix", "[12, 4]"]);
    for metric in [accuracy, subset_accuracy, auroc, nll] {
        assert_mismatch(metric(&l, &(&y * 0.5)), &["targets", "zeros and ones"]);
        assert_mismatch(metric(&l, &y.to_kind(Kind::Int64)), &["Int64", "to_kind"]);
        assert_mismatch(metric(&(&l * f64::NAN), &y), &["logits", "row 0"]);
    }
}
