//! Metrics of class labels against scikit-learn, with ties and classes without samples.

use g2d::{
    Error,
    metrics::{
        Average, accuracy, balanced_accuracy, class_counts, confusion_matrix,
        expected_calibration_error, f1, precision, recall, subset_accuracy, top_k_accuracy,
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
//   l, y = np.round(4 * w(0.3, 20, 4)) / 2, np.arange(20) * 7 % 3
//   p = l.argmax(1)

/// 20 rows of 4 classes, with ties. No row has class 3, which is predicted.
fn data() -> (Tensor, Tensor) {
    (rounded(0.3, &[20, 4]), (Tensor::arange(20, tch::kind::INT64_CPU) * 7).remainder(3))
}

#[test]
fn the_confusion_matrix_has_a_row_for_each_class_and_a_column_for_each_prediction() {
    let (l, y) = data();
    // M.confusion_matrix(y, p, labels=range(4))
    let expected = [[1, 1, 2, 3], [4, 1, 0, 2], [2, 2, 2, 0], [0, 0, 0, 0]];
    assert_eq!(confusion_matrix(&l, &y).unwrap(), expected);
    let counts = class_counts(&l, &y).unwrap();
    for (c, class) in counts.iter().enumerate() {
        let column = |j: usize| expected.iter().map(|row| row[j]).sum::<u64>();
        assert_eq!(class.true_positives, expected[c][c]);
        assert_eq!(class.samples(), expected[c].iter().sum::<u64>());
        assert_eq!(class.true_positives + class.false_positives, column(c));
        let all = class.true_positives + class.false_positives + class.false_negatives;
        assert_eq!(all + class.true_negatives, 20);
    }
}

#[test]
fn precision_recall_and_f1_agree_with_scikit_learn() {
    let (l, y) = data();
    // f(y, p, average=a, zero_division=0) for f in (M.precision_score, M.recall_score, M.f1_score)
    for (average, expected) in [
        (Average::Micro, [0.2, 0.2, 0.2]),
        (Average::Macro, [0.2232142857142857, 0.15476190476190477, 0.18116883116883117]),
        (Average::Weighted, [0.2875, 0.2, 0.23363636363636364]),
    ] {
        let found = [precision, recall, f1].map(|metric| metric(&l, &y, average).unwrap());
        (0..3).for_each(|i| assert_number(found[i], expected[i]));
    }
    // A class without samples that is never predicted does not count.
    let wide = Tensor::cat(&[&l, &(l.ones_like() * -9.0)], 1);
    let found = f1(&wide, &y, Average::Macro).unwrap();
    assert_number(found, f1(&l, &y, Average::Macro).unwrap());
    assert_eq!(class_counts(&wide, &y).unwrap()[4].f1(), 0.0);
}

#[test]
fn the_f1_of_a_binary_classification_is_that_of_class_1() {
    let (l, y) = super::ranked::binary();
    // M.f1_score(y2, l2.argmax(1))
    assert_number(class_counts(&l, &y).unwrap()[1].f1(), 0.6666666666666666);
}

#[test]
fn the_balanced_accuracy_leaves_out_classes_without_samples() {
    let (l, y) = data();
    // M.balanced_accuracy_score(y, p)
    assert_number(balanced_accuracy(&l, &y).unwrap(), 0.20634920634920637);
}

#[test]
fn the_top_k_accuracy_counts_labels_among_the_k_largest_logits() {
    let (l, y) = data();
    // rank = [(l[i] > l[i, y[i]]).sum() + (l[i, :y[i]] == l[i, y[i]]).sum() for i in range(20)]
    for (k, expected) in [(1, 0.2), (2, 0.45), (3, 0.75), (4, 1.0)] {
        assert_number(top_k_accuracy(&l, &y, k).unwrap(), expected);
    }
    assert_eq!(top_k_accuracy(&l, &y, 1).unwrap(), accuracy(&l, &y).unwrap());
    // M.top_k_accuracy_score(y, w(0.3, 20, 4), k=k, labels=range(4)), without ties
    for (k, expected) in [(1, 0.2), (2, 0.4), (3, 0.75)] {
        assert_number(top_k_accuracy(&wave(0.3, &[20, 4]), &y, k).unwrap(), expected);
    }
    for k in [0, 5] {
        let error = assert_mismatch(top_k_accuracy(&l, &y, k), &["k of the top-k", "1..=4"]);
        assert!(matches!(error, Error::Config(_)));
    }
}

#[test]
fn the_calibration_error_is_the_mean_gap_of_its_bins() {
    let (l, y) = (wave(0.3, &[20, 4]) * 2.0, data().1);
    // S = np.exp(2 * w(0.3, 20, 4)); S /= S.sum(1, keepdims=True); c, ok = S.max(1), S.argmax(1) == y
    // b = np.digitize(c, np.linspace(0, 1, 11), right=True)
    // sum(abs(ok[b == i].mean() - c[b == i].mean()) * (b == i).mean() for i in np.unique(b))
    assert_number(expected_calibration_error(&l, &y, 10).unwrap(), 0.4282227984088516);
    // Certain and right; certain and wrong.
    let certain = y.one_hot(4).to_kind(Kind::Double) * 1e4;
    assert_eq!(expected_calibration_error(&certain, &y, 15).unwrap(), 0.0);
    assert_eq!(expected_calibration_error(&certain, &(&y + 1), 15).unwrap(), 1.0);
    assert_mismatch(expected_calibration_error(&l, &y, 0), &["bins", "at least 1"]);
}

#[test]
fn subset_accuracy_of_class_labels_is_their_accuracy() {
    let (l, y) = data();
    assert_eq!(subset_accuracy(&l, &y).unwrap(), accuracy(&l, &y).unwrap());
}

#[test]
fn labels_to_ignore_and_soft_labels_are_errors_with_their_hint() {
    let (l, y) = data();
    let ignored = y.where_self(&y.gt(0), &(y.ones_like() * -100));
    assert_mismatch(accuracy(&l, &ignored), &["0..4", "-100", "Predictions::labelled"]);
    let soft = l.softmax(1, Kind::Double);
    assert_mismatch(accuracy(&l, &soft), &["zeros and ones", "argmax(1, false)"]);
    assert_mismatch(accuracy(&l, &l.narrow(1, 0, 0)), &["predict"]);
}
