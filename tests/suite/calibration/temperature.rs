//! Temperatures.

use g2d::calibration::Temperature;
use tch::{Kind, Tensor};

use super::{
    logits,
    plain::{self, assert_agree},
};
use crate::support::{CLASSES, labels, wave};

fn fit(logits: &Tensor) -> Temperature {
    Temperature::fit(logits, &labels(logits.size()[0])).unwrap()
}

#[test]
fn the_temperature_has_the_lowest_nll_of_a_grid() {
    for (n, phase, scale) in [(12, 0.0, 0.05), (30, 1.0, 1.0), (40, 2.0, 7.0), (25, 3.0, 300.0)] {
        let logits = logits(n, phase, scale);
        let found = fit(&logits);
        let (t, nll) = plain::temperature(&plain::logits(&logits), &plain::labels(&labels(n)));
        assert!(t > 0.002 && t < 500.0, "the minimum is inside: {t}");
        assert_agree(found.value, t, 1e-6);
        assert_agree(found.nll, nll, 1e-13);
    }
}

#[test]
fn the_temperature_is_proportional_to_the_scale_of_the_logits() {
    let one = fit(&logits(30, 0.5, 1.0));
    for scale in [1e-2, 0.3, 20.0] {
        let other = fit(&logits(30, 0.5, scale));
        assert_agree(other.value, scale * one.value, 1e-10);
        assert_agree(other.nll, one.nll, 1e-13);
    }
}

#[test]
fn the_temperature_does_not_depend_on_a_constant_of_each_row() {
    let logits = logits(30, 0.5, 2.0);
    let shifted = fit(&(&logits + wave(0.3, &[30, 1]) * 1e4));
    assert_agree(shifted.value, fit(&logits).value, 1e-9);
    assert_agree(shifted.nll, fit(&logits).nll, 1e-11);
}

#[test]
fn logits_that_separate_the_samples_have_the_lower_bound() {
    let correct = labels(9).one_hot(CLASSES).to_kind(Kind::Double);
    for scale in [0.5, 3.0, 1e3] {
        let found = fit(&(&correct * scale));
        assert_agree(found.value, 0.001, 1e-12);
        assert!((0.0..1e-200).contains(&found.nll), "{}", found.nll);
    }
}

#[test]
fn logits_without_information_have_the_upper_bound() {
    let wrong = labels(9).one_hot(CLASSES).to_kind(Kind::Double) * -3.0;
    let equal = Tensor::full([9, CLASSES], 0.3, tch::kind::DOUBLE_CPU);
    for logits in [wrong, equal.copy(), wave(0.0, &[9, 1]) + &equal * 0.0] {
        let found = fit(&logits);
        assert_agree(found.value, 1000.0, 1e-12);
        assert_agree(found.nll, 3f64.ln(), 2e-3);
    }
}

#[test]
fn logits_of_any_dtype_are_calibrated_in_double() {
    let logits = logits(30, 0.5, 2.0);
    for kind in [Kind::Float, Kind::Half, Kind::BFloat16] {
        let rounded = logits.to_kind(kind).set_requires_grad(true);
        let found = Temperature::fit(&rounded, &labels(30)).unwrap();
        assert_eq!(found, fit(&rounded.detach().to_kind(Kind::Double)));
    }
}
