//! The calibration of teachers, and what follows from it.

use g2d::{
    PerModality,
    calibration::{Calibration, Temperature},
    loss::EnsembleTerm,
    schedule::Ranking,
};
use tch::{Kind, Tensor};

use super::{
    logits,
    plain::{self, assert_agree},
};
use crate::support::{
    CLASSES, assert_close, assert_config_error, assert_error, assert_number, labels, names,
};

/// Logits of three teachers, of 40, 30 and 36 samples; the second is very overconfident.
fn teachers() -> [Tensor; 3] {
    [logits(40, 0.0, 2.0), logits(30, 1.1, 30.0), logits(36, 2.9, 0.5)]
}

fn calibration() -> Calibration {
    let (all, names) = (teachers(), names(3));
    let targets: Vec<_> = all.iter().map(|l| labels(l.size()[0])).collect();
    let each = all.iter().zip(&targets).zip(names);
    Calibration::fit(each.map(|((logits, targets), m)| (m, logits, targets))).unwrap()
}

#[test]
fn each_teacher_has_its_temperature_accuracy_confidence_and_information() {
    let found = calibration();
    assert_eq!(found.teachers().len(), 3);
    for ((teacher, logits), name) in found.teachers().iter().zip(teachers()).zip(names(3)) {
        let n = logits.size()[0];
        let (rows, y) = (plain::logits(&logits), plain::labels(&labels(n)));
        let (t, nll) = plain::temperature(&rows, &y);
        assert_eq!(teacher.modality, name);
        assert_eq!(teacher.temperature, Temperature::fit(&logits, &labels(n)).unwrap());
        let correct = rows.iter().zip(&y).filter(|(row, y)| row.iter().all(|l| *l <= row[**y]));
        assert_number(teacher.accuracy, correct.count() as f64 / n as f64);
        let p = rows.iter().zip(&y).map(|(row, &y)| plain::log_softmax(&plain::scaled(row, t))[y]);
        assert_agree(teacher.confidence, p.map(f64::exp).sum::<f64>() / n as f64, 1e-6);
        assert_agree(teacher.information, 1.0 - nll / 3f64.ln(), 1e-12);
        assert!(teacher.information > 0.0 && teacher.information < 1.0);
    }
}

#[test]
fn weights_rankings_and_terms_follow_from_the_temperatures() {
    let calibration = calibration();
    let each = calibration.teachers();
    let t: Vec<f64> = each.iter().map(|teacher| teacher.temperature.value).collect();
    let sum: f64 = t.iter().map(|t| 1.0 / t).sum();
    let weights = calibration.fusion_weights().unwrap();
    let by_accuracy = calibration.fusion_weights_by_accuracy().unwrap();
    let accurate: f64 = each.iter().map(|of| of.accuracy / of.temperature.value).sum();
    for m in 0..3 {
        assert_number(weights.as_slice()[m], 1.0 / t[m] / sum);
        assert_number(by_accuracy.as_slice()[m], each[m].accuracy / t[m] / accurate);
    }
    assert!(weights.as_slice()[1] < 0.1, "an overconfident teacher has a small weight");
    let information = each.iter().map(|of| (3.0 * of.information).min(1.0)).collect();
    assert_eq!(calibration.information_weights(), PerModality::Each(information));
    let rho = each.iter().map(|of| (of.modality.clone(), of.confidence)).collect();
    assert_eq!(calibration.ranking(), Ranking::HeldOut(rho));
    let expected = EnsembleTerm {
        weight: 1.0,
        temperature: 4.0,
        teacher_temperature: PerModality::Each(t.clone()),
    };
    assert_eq!(calibration.ensemble_term(), expected);

    let test = [logits(5, 0.7, 1.0), logits(5, 1.7, 2.0), logits(5, 2.7, 3.0)];
    let ensemble = calibration.ensemble(&test).unwrap();
    assert_close(&ensemble, &(&test[0] / t[0] + &test[1] / t[1] + &test[2] / t[2]));
}

#[test]
fn the_information_is_0_for_a_guess_and_1_for_certainty() {
    let one_hot = labels(12).one_hot(CLASSES).to_kind(Kind::Double);
    let [none, wrong] = [&one_hot * 0.0, &one_hot * -9.0];
    let all = [none, wrong, one_hot];
    let targets = labels(12);
    let each = all.iter().zip(names(3)).map(|(logits, m)| (m, logits, &targets));
    let calibration = Calibration::fit(each).unwrap();
    let found: Vec<_> = calibration.teachers().iter().map(|of| of.information).collect();
    assert!(found[0] < 1e-15 && found[1] < 1e-15, "{found:?}");
    assert_number(found[2], 1.0);
    let PerModality::Each(weights) = calibration.information_weights() else { panic!() };
    assert!(weights[0] < 1e-15 && weights[2] == 1.0, "{weights:?}");
    let fusion = calibration.fusion_weights().unwrap();
    assert!(fusion.as_slice()[0] < 1e-5, "a teacher without information has no weight: {fusion:?}");
}

#[test]
fn an_ensemble_of_other_teachers_is_an_error() {
    let calibration = calibration();
    let l = || logits(5, 0.0, 1.0);
    let words = ["logits of the ensemble", "3, one for each", "found 2", "all teachers"];
    assert_config_error(calibration.ensemble(&[l(), l()]), &words);
    let narrow = l().narrow(1, 0, 2);
    assert_error(calibration.ensemble(&[l(), l(), narrow]), &["calibrate logits"]);
}
