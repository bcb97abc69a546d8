//! Metrics against NumPy and scikit-learn, and invalid values.

mod classes;
mod ranked;
mod sets;

use g2d::metrics::{accuracy, mae, mape, nll, r2, rmse, selection_score};
use tch::{Device, Kind, Tensor};

use crate::support::{assert_error, assert_mismatch, assert_number, labels, wave};

// p = np.array([2.5, 0.0, 2.0, 8.0, -3.5]); y = np.array([3.0, -0.5, 2.0, 7.0, -4.0])
// np.sqrt(np.mean((p-y)**2)); np.mean(np.abs(p-y))
// 1 - np.sum((p-y)**2)/np.sum((y-y.mean())**2); 100*np.mean(np.abs((p-y)/y))
const RMSE: f64 = 0.591_607_978_309_961_6;
const MAE: f64 = 0.5;
const R2: f64 = 0.973_880_597_014_925_4;
const MAPE: f64 = 28.690_476_190_476_19;
// l = np.sin(0.3 + np.arange(12)).reshape(4, 3); y = np.array([0, 1, 2, 0])
// np.mean(np.log(np.exp(l).sum(1)) - l[range(4), y])
const NLL: f64 = 1.091_956_498_421_69;

fn pair() -> (Tensor, Tensor) {
    let p = Tensor::from_slice(&[2.5, 0.0, 2.0, 8.0, -3.5]);
    (p, Tensor::from_slice(&[3.0, -0.5, 2.0, 7.0, -4.0]))
}

/// The multiples of ½ next to 2 · `wave`, many of them equal.
fn rounded(phase: f64, shape: &[i64]) -> Tensor {
    (wave(phase, shape) * 4.0).round() / 2.0
}

#[test]
fn regression_metrics_agree_with_numpy() {
    let (p, y) = pair();
    for p in [p.view([5, 1]), p] {
        let found = [rmse(&p, &y), mae(&p, &y), r2(&p, &y), mape(&p, &y)].map(Result::unwrap);
        for (found, expected) in found.into_iter().zip([RMSE, MAE, R2, MAPE]) {
            assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }
    }
}

#[test]
fn the_r2_of_the_mean_of_the_targets_is_0() {
    let (_, y) = pair();
    let mean = y.mean(tch::Kind::Double).expand_as(&y);
    assert!(r2(&mean, &y).unwrap().abs() < 1e-12);
}

#[test]
fn metrics_of_invalid_values_are_errors() {
    let (p, y) = pair();
    assert_error(rmse(&p, &y.narrow(0, 0, 4)), &["same N"]);
    assert_error(mae(&(&p / 0.0), &y), &["finite"]);
    assert_error(r2(&p, &y.ones_like()), &["vary"]);
    assert_error(mape(&p, &y.zeros_like()), &["no target of 0"]);
    let none = Tensor::from_slice::<f64>(&[]);
    assert_error(rmse(&none, &none), &["at least 1"]);
}

#[test]
fn the_accuracy_of_logits_that_are_not_finite_is_an_error() {
    let labels = Tensor::from_slice(&[0_i64, 0, 0, 0, 1, 2]);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let logits = Tensor::zeros([6, 3], (Kind::Float, Device::Cpu));
        assert_eq!(accuracy(&logits, &labels).unwrap(), 4.0 / 6.0);
        let _ = logits.get(4).fill_(value);
        assert_mismatch(accuracy(&logits, &labels), &["logits", "row 4"]);
    }
    let none = Tensor::zeros([6, 0], (Kind::Float, Device::Cpu));
    assert_mismatch(accuracy(&none, &labels), &["C of at least 1", "[6, 0]"]);
}

#[test]
fn the_nll_is_the_mean_of_minus_the_log_probability_of_the_label() {
    let logits = wave(0.3, &[4, 3]);
    assert_number(nll(&logits, &labels(4)).unwrap(), NLL);
    let found = nll(&logits.to_kind(Kind::Float), &labels(4)).unwrap();
    assert!((found - NLL).abs() < 1e-7);
    // Where a probability underflows.
    let certain = Tensor::from_slice2(&[[0.0_f32, 2000.0], [0.0, 2000.0]]);
    assert_number(nll(&certain, &Tensor::from_slice(&[1_i64, 0])).unwrap(), 1000.0);
}

#[test]
fn a_selection_score_is_higher_for_a_higher_accuracy_then_for_a_lower_nll() {
    let y = labels(6);
    let right = y.one_hot(3).to_kind(Kind::Double);
    let wrong = (&y + 1).remainder(3).one_hot(3).to_kind(Kind::Double);
    let first = |n: i64| (Tensor::arange(6, tch::kind::INT64_CPU)).lt(n).unsqueeze(1);
    let logits = |correct: i64, scale: f64| right.where_self(&first(correct), &wrong) * scale;
    // From the worst to the best.
    let ordered = [(2, 50.0), (2, 1.0), (4, 1e4), (4, 9.0), (4, 0.01), (6, 0.01), (6, 20.0)];
    let scores = ordered.map(|(correct, scale)| {
        let logits = logits(correct, scale);
        let score = selection_score(&logits, &y).unwrap();
        assert_number(accuracy(&logits, &y).unwrap(), correct as f64 / 6.0);
        assert_number(score, correct as f64 + 1.0 / (1.0 + nll(&logits, &y).unwrap()));
        score
    });
    assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");
}

#[test]
fn invalid_labels_are_errors_of_classification_metrics() {
    let logits = wave(0.3, &[4, 3]);
    for metric in [nll, selection_score, accuracy] {
        let words = ["[N, C] and [N]", "[4, 3] and [3]"];
        assert_mismatch(metric(&logits, &labels(3)), &words);
        assert_mismatch(metric(&logits.narrow(0, 0, 0), &labels(0)), &["N and C of at least 1"]);
        assert_mismatch(metric(&logits, &labels(4).to_kind(Kind::Float)), &["Int64", "Float"]);
    }
    for metric in [nll, selection_score] {
        assert_mismatch(metric(&logits, &(labels(4) + 1)), &["classes 0..3", "found 3"]);
        assert_mismatch(metric(&logits, &(labels(4) - 1)), &["classes 0..3", "found -1"]);
    }
}
