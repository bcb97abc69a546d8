//! Data that cannot be calibrated.

use g2d::{
    Error,
    calibration::{Calibration, Mixture, Prediction, Robust, Temperature},
    trainer::Predictions,
};
use tch::{Kind, Tensor};

use super::{logits, predictions, with_missing};
use crate::support::{assert_config_error, assert_mismatch, labels, names};

type IsRight = fn(&Error) -> bool;

/// Invalid logits and labels of six samples, and the words of the error.
fn invalid() -> Vec<(Tensor, Tensor, Vec<&'static str>, IsRight)> {
    let (l, y) = (|| logits(6, 0.0, 1.0), || labels(6));
    let shape: IsRight = |error| matches!(error, Error::Shape(_));
    let target: IsRight = |error| matches!(error, Error::Target(_));
    let value: IsRight = |error| matches!(error, Error::NonFinite(_));
    let nan = l() + Tensor::from_slice(&[0.0, f64::NAN, 0.0]);
    let infinite = l() - Tensor::from_slice(&[0.0, f64::INFINITY, 0.0]);
    vec![
        (l().narrow(0, 0, 0), labels(0), vec!["[0, 3] and [0]", "every class"], shape),
        (l(), labels(5), vec!["[6, 3] and [5]", "one class label of every sample"], shape),
        (l(), y().unsqueeze(1), vec!["[6, 1]", "one class label of every sample"], shape),
        (l().flatten(0, -1), labels(18), vec!["[18] and [18]"], shape),
        (l().narrow(1, 0, 1), labels(6).zeros_like(), vec!["[6, 1]", "C of at least 2"], shape),
        (l(), y().to_kind(Kind::Float), vec!["Int64", "Float"], |e| matches!(e, Error::Kind(_))),
        (l(), y() + 1, vec!["classes 0..3", "found 3", "last layer"], target),
        (l(), y() - 1, vec!["classes 0..3", "found -1"], target),
        (l(), y().remainder(2), vec!["each of 3 classes", "none of class 2", "stratified"], target),
        (nan, y(), vec!["finite numbers", "NaN or infinity", "weights"], value),
        (infinite, y(), vec!["finite numbers", "NaN or infinity"], value),
    ]
}

#[test]
fn invalid_logits_and_labels_are_errors() {
    let valid = (logits(6, 0.0, 1.0), labels(6));
    for (logits, targets, mut words, is_right) in invalid() {
        assert!(is_right(&assert_mismatch(Temperature::fit(&logits, &targets), &words)));
        words.push("the teacher of \"m1\"");
        let each = [(&valid.0, &valid.1), (&logits, &targets)];
        let each = each.into_iter().zip(names(2)).map(|((l, y), m)| (m, l, y));
        assert!(is_right(&assert_mismatch(Calibration::fit(each), &words)));
    }
    let none = std::iter::empty();
    assert_config_error(Calibration::fit(none), &["teachers", "at least one", "every teacher"]);
}

/// Every way to fit predictions of a student.
fn assert_unfit(validation: &Predictions, words: &[&str]) {
    assert_mismatch(Mixture::fit(validation).map(drop), words);
    assert_mismatch(Robust::fit(validation).map(drop), words);
    assert_mismatch(Prediction::select(validation).map(drop), words);
    assert_mismatch(Prediction::fit_all(validation).map(drop), words);
}

#[test]
fn invalid_unimodal_logits_are_errors_that_name_the_head() {
    let head = ["the unimodal head of \"m1\"", ""];
    let with = |change: &dyn Fn(&mut Predictions)| {
        let mut validation = with_missing();
        change(&mut validation);
        validation
    };
    let nan = with(&|p| p.heads[1].1 = &p.heads[1].1 * f64::NAN);
    assert_unfit(&nan, &[head[0], "finite"]);
    let narrow = with(&|p| p.heads[1].1 = p.heads[1].1.narrow(1, 0, 2));
    let words = ["unimodal logits of modality \"m1\"", "[40, 3]", "[40, 2]", "unimodal_logits"];
    assert_unfit(&narrow, &words);
    let nowhere = with(&|p| p.present[1].1 = vec![false; 40]);
    assert_unfit(&nowhere, &[head[0], "N of at least 1", "[0, 3]", "every class"]);
    // m1 has samples of the classes 0 and 1 alone.
    let partly = with(&|p| p.present[1].1 = (0..40).map(|row| row % 3 < 2).collect());
    assert_unfit(&partly, &[head[0], "none of class 2"]);
    // NaN where no sample has the modality is not read.
    let unread = with(&|p| {
        let absent = Tensor::from_slice(&p.present[1].1).logical_not().unsqueeze(1);
        p.heads[1].1 = p.heads[1].1.masked_fill(&absent, f64::NAN);
    });
    Prediction::select(&unread).unwrap();
}

#[test]
fn predictions_without_heads_or_with_other_heads_are_errors() {
    let (validation, mut headless, mut one) = (predictions(), predictions(), predictions());
    headless.heads.clear();
    one.heads.truncate(1);
    let words = ["unimodal logits of the student", "none", "WithHeads"];
    assert_config_error(Mixture::fit(&headless), &words);
    assert_config_error(Robust::fit(&headless), &words);
    let mixture = Mixture::fit(&validation).unwrap();
    let robust = Robust::fit(&validation).unwrap();
    for found in [mixture.logits(&headless), robust.logits(&headless)] {
        assert_config_error(found, &words);
    }
    let words = ["unimodal heads", "2, as in the calibration", "found 1"];
    assert_config_error(mixture.logits(&one), &words);
    assert_config_error(robust.logits(&one), &words);
    assert_config_error(Prediction::Robust(robust).logits(&one), &words);
    one.heads.push((names(2)[1].clone(), logits(39, 0.0, 1.0)));
    assert_mismatch(mixture.logits(&one), &["[40, 3]", "[39, 3]"]);
}
