//! AUROC and average precision against scikit-learn, with equal scores and classes without samples.

use g2d::{
    Error,
    metrics::{auroc, auroc_per_class, average_precision, average_precision_per_class},
};
use tch::{Kind, Tensor};

use super::rounded;
use crate::support::{assert_mismatch, assert_number, wave};

// The expected values below were printed by this, with scikit-learn 1.9.1:
//
//   import numpy as np
//   from sklearn import metrics as M
//   w = lambda phase, *s: np.sin(phase + np.arange(np.prod(s))).reshape(s)
//   half, y = lambda x: np.round(4 * x) / 2, np.arange(20) * 7 % 3
//   sm = lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)
//   l2, y2 = half(w(0.9, 20, 2)), (np.arange(20) * 7 % 5 < 2).astype(int)

/// Labels 0, 1, 2, 0, … of 20 rows.
fn labels() -> Tensor {
    (Tensor::arange(20, tch::kind::INT64_CPU) * 7).remainder(3)
}

/// Logits of a binary classification, some of them with equal differences.
pub(super) fn binary() -> (Tensor, Tensor) {
    let y = (Tensor::arange(20, tch::kind::INT64_CPU) * 7).remainder(5).lt(2);
    (rounded(0.9, &[20, 2]), y.to_kind(Kind::Int64))
}

#[test]
fn a_binary_classification_agrees_with_scikit_learn() {
    let (l, y) = binary();
    // M.roc_auc_score(y2, l2[:, 1] - l2[:, 0]); M.average_precision_score(the same)
    assert_number(auroc(&l, &y).unwrap(), 0.625);
    assert_number(average_precision(&l, &y).unwrap(), 0.5463541666666667);
    let each = auroc_per_class(&l, &y).unwrap();
    assert_eq!(each, [Some(0.625); 2], "two classes have the same area");
}

#[test]
fn classes_against_all_others_agree_with_scikit_learn() {
    let (l, y) = (wave(0.3, &[20, 3]), labels());
    // M.roc_auc_score(y, sm(w(0.3, 20, 3)), multi_class="ovr", average="macro")
    assert_number(auroc(&l, &y).unwrap(), 0.4996947496947497);
    // np.mean([M.average_precision_score(y == c, sm(w(0.3, 20, 3))[:, c]) for c in range(3)])
    assert_number(average_precision(&l, &y).unwrap(), 0.40441094525570426);
}

/// Equal probabilities are equal scores, also of rows that are permuted or shifted.
#[test]
fn rows_of_equal_probabilities_are_tied() {
    let (l, y) = (rounded(0.3, &[20, 3]), labels());
    let shifted = &l - l.narrow(1, 0, 1);
    // s = np.round(sm(half(w(0.3, 20, 3))), 12); [M.roc_auc_score(y == c, s[:, c]) for c in range(3)]
    let area = [0.4835164835164835, 0.5274725274725274, 0.48214285714285715];
    // [M.average_precision_score(y == c, s[:, c]) for c in range(3)]
    let precision = [0.36387615652321537, 0.37369675142784387, 0.37192460317460313];
    for l in [l, shifted] {
        let found = [auroc_per_class, average_precision_per_class].map(|f| f(&l, &y).unwrap());
        for c in 0..3 {
            assert_number(found[0][c].unwrap(), area[c]);
            assert_number(found[1][c].unwrap(), precision[c]);
        }
    }
    let (equal, (_, y)) = (Tensor::zeros([20, 2], tch::kind::FLOAT_CPU), binary());
    assert_eq!(auroc(&equal, &y).unwrap(), 0.5);
    assert_eq!(average_precision(&equal, &y).unwrap(), 0.4, "the share of class 1");
}

/// In single precision all probabilities of class 1 are 1 or 0.
#[test]
fn the_order_of_saturated_probabilities_is_that_of_the_logits() {
    let y = Tensor::from_slice(&[0_i64, 1, 0, 1, 2, 2]);
    let l = y.one_hot(3).to_kind(Kind::Float) * 200.0 + wave(0.3, &[6, 3]).to_kind(Kind::Float);
    assert_eq!(auroc(&l, &y).unwrap(), 1.0);
    let margins = [500.0, 300.0, 400.0, 200.0_f32];
    let rows: Vec<[f32; 3]> = margins.iter().map(|&margin| [0.0, margin, -5.0]).collect();
    let y = Tensor::from_slice(&[1_i64, 0, 1, 0]);
    assert_eq!(auroc_per_class(&Tensor::from_slice2(&rows), &y).unwrap()[1], Some(1.0));
}

#[test]
fn a_class_without_samples_has_no_area_and_no_average_precision() {
    let (l, y) = (wave(0.3, &[20, 4]), labels());
    for (mean, each) in [
        (auroc as fn(&Tensor, &Tensor) -> g2d::Result<f64>, auroc_per_class(&l, &y).unwrap()),
        (average_precision, average_precision_per_class(&l, &y).unwrap()),
    ] {
        let error = assert_mismatch(mean(&l, &y), &["every class", "1 of 4 classes", "classes of"]);
        assert!(matches!(error, Error::Target(_)));
        assert_eq!(each.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, true, false]);
    }
    // All rows of one class: its precision is defined, its area is not.
    let (l, y) = (wave(0.3, &[4, 2]), Tensor::from_slice(&[1_i64; 4]));
    assert_eq!(average_precision(&l, &y).unwrap(), 1.0);
    assert_mismatch(auroc(&l, &y), &["AUROC", "2 of 2 classes"]);
}
