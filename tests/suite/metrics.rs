//! Regression metrics against NumPy, and invalid values.

use g2d::metrics::{accuracy, mae, mape, r2, rmse};
use tch::{Device, Kind, Tensor};

use crate::support::{assert_error, assert_mismatch};

// p = np.array([2.5, 0.0, 2.0, 8.0, -3.5]); y = np.array([3.0, -0.5, 2.0, 7.0, -4.0])
// np.sqrt(np.mean((p-y)**2)); np.mean(np.abs(p-y))
// 1 - np.sum((p-y)**2)/np.sum((y-y.mean())**2); 100*np.mean(np.abs((p-y)/y))
const RMSE: f64 = 0.591_607_978_309_961_6;
const MAE: f64 = 0.5;
const R2: f64 = 0.973_880_597_014_925_4;
const MAPE: f64 = 28.690_476_190_476_19;

fn pair() -> (Tensor, Tensor) {
    let p = Tensor::from_slice(&[2.5, 0.0, 2.0, 8.0, -3.5]);
    (p, Tensor::from_slice(&[3.0, -0.5, 2.0, 7.0, -4.0]))
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
