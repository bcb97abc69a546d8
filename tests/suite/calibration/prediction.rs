//! Predictions of a student: mixtures and robust heads.

use g2d::{
    calibration::{Mixture, Prediction, Robust, RobustHead, Temperature},
    metrics,
    trainer::Predictions,
};
use tch::{Kind, Tensor};

use super::{
    logits,
    plain::{self, Logits, assert_agree},
    predictions, rows_of, with_missing,
};
use crate::support::{CLASSES, assert_close, assert_number, labels, names, wave};

fn heads(predictions: &Predictions) -> Vec<Logits> {
    predictions.heads.iter().map(|(_, logits)| plain::logits(logits)).collect()
}

/// The sum of `each` over the heads of the modalities that a sample has.
fn sum(predictions: &Predictions, each: impl Fn(usize, &[f64]) -> Vec<f64>) -> Logits {
    let heads = heads(predictions);
    let row = |row: usize| {
        (0..heads.len())
            .filter(|&m| rows_of(predictions, m).contains(&row))
            .fold(vec![0.0; 3], |sum, m| plain::add(&sum, &each(m, &heads[m][row])))
    };
    (0..40).map(row).collect()
}

#[test]
fn a_mixture_has_the_temperatures_of_its_parts_and_the_share_of_the_lowest_nll() {
    for validation in [predictions(), with_missing()] {
        let y = plain::labels(&validation.targets);
        let found = Mixture::fit(&validation).unwrap();
        let fused = Temperature::fit(&validation.logits, &validation.targets).unwrap();
        assert_eq!(found.fused_temperature, fused.value);
        for (m, head) in heads(&validation).iter().enumerate() {
            let rows = rows_of(&validation, m);
            let (own, y): (Logits, Vec<_>) =
                rows.iter().map(|&row| (head[row].clone(), y[row])).unzip();
            let (t, _) = plain::temperature(&own, &y);
            assert_agree(found.head_temperatures[m], t, 1e-6);
        }
        let heads = sum(&validation, |m, z| plain::scaled(z, found.head_temperatures[m]));
        let fused = plain::logits(&validation.logits);
        let mixed = |alpha: f64| -> Logits {
            let own = |(z, heads): (&Vec<f64>, &Vec<f64>)| {
                let [a, b] = [found.fused_temperature / alpha, 1.0 / (1.0 - alpha)];
                plain::add(&plain::scaled(z, a), &plain::scaled(heads, b))
            };
            fused.iter().zip(&heads).map(own).collect()
        };
        let nll = |alpha: f64| plain::nll(mixed(alpha).iter().zip(&y));
        let (alpha, lowest) = plain::minimum(1e-9, 1.0 - 1e-9, nll);
        assert!(alpha > 0.05 && alpha < 0.95, "the minimum is inside: {alpha}");
        assert_agree(found.alpha, alpha, 1e-6);
        assert_agree(found.nll, lowest, 1e-13);
        assert!(found.nll < Temperature::fit(&validation.logits, &validation.targets).unwrap().nll);
        let expected = Tensor::from_slice2(&mixed(found.alpha));
        assert_close(&found.logits(&validation).unwrap(), &expected);
    }
}

#[test]
fn the_share_is_at_a_bound_where_one_part_has_no_information() {
    let mut validation = predictions();
    validation.heads.truncate(1);
    validation.logits = logits(40, 0.2, 0.0);
    let found = Mixture::fit(&validation).unwrap();
    assert!(found.alpha < 1e-6, "{found:?}");
    let head = Temperature::fit(&validation.heads[0].1, &validation.targets).unwrap();
    assert_agree(found.nll, head.nll, 1e-12);

    let mut validation = predictions();
    validation.heads.iter_mut().for_each(|(_, logits)| *logits = logits.zeros_like());
    let found = Mixture::fit(&validation).unwrap();
    assert!(found.alpha > 1.0 - 1e-6, "{found:?}");
    let fused = Temperature::fit(&validation.logits, &validation.targets).unwrap();
    assert_agree(found.nll, fused.nll, 1e-12);
}

/// Of m0 every seventh sample is confidently wrong.
fn shifted() -> Predictions {
    let mut predictions = with_missing();
    let flags: Vec<bool> = (0..40).map(|row| row % 7 == 3).collect();
    let flags = Tensor::from_slice(&flags).unsqueeze(1);
    let one_hot = |labels: Tensor| labels.one_hot(CLASSES).to_kind(Kind::Double);
    let wrong = one_hot((labels(40) + 1).remainder(CLASSES)) * 20.0;
    let right = one_hot(labels(40)) * 2.2 + wave(0.2, &[40, CLASSES]) * 2.0;
    predictions.heads[0].1 = wrong.where_self(&flags, &right);
    predictions
}

#[test]
fn robust_heads_have_the_lowest_nll_of_all_temperatures_and_shares() {
    for validation in [predictions(), with_missing(), shifted()] {
        let y = plain::labels(&validation.targets);
        let found = Robust::fit(&validation).unwrap();
        for (m, head) in heads(&validation).iter().enumerate() {
            let rows = rows_of(&validation, m);
            let nll = |t: f64, epsilon: f64| {
                let own: Logits =
                    rows.iter().map(|&row| plain::robust(&head[row], t, epsilon)).collect();
                let each = own.iter().zip(&rows).map(|(row, &i)| -row[y[i]]);
                each.sum::<f64>() / rows.len() as f64
            };
            let best = |log_t: f64| {
                plain::rough_minimum(0.0, 0.999, |epsilon| nll(log_t.exp(), epsilon)).1
            };
            let (log_t, lowest) = plain::rough_minimum(0.01f64.ln(), 100f64.ln(), best);
            let RobustHead { temperature, epsilon } = found.heads[m];
            let own = nll(temperature, epsilon);
            assert!(own <= lowest + 1e-9, "{own} against {lowest} at {}", log_t.exp());
            assert!((0.01..=100.1).contains(&temperature) && (0.0..1.0).contains(&epsilon));
            // Near the minimum in both.
            for (t, e) in [(1.001, 0.0), (0.999, 0.0), (1.0, 1e-3), (1.0, -1e-3)] {
                if (0.0..1.0).contains(&(epsilon + e)) {
                    assert!(nll(temperature * t, epsilon + e) >= own - 1e-12, "m{m}: {t}, {e}");
                }
            }
        }
        let expected = sum(&validation, |m, z| {
            let RobustHead { temperature, epsilon } = found.heads[m];
            plain::robust(z, temperature, epsilon)
        });
        assert_close(&found.logits(&validation).unwrap(), &Tensor::from_slice2(&expected));
        assert_agree(found.nll, plain::nll(expected.iter().zip(&y)), 1e-13);
    }
}

#[test]
fn a_head_that_is_confidently_wrong_on_some_samples_has_a_share_of_guesses() {
    let found = Robust::fit(&shifted()).unwrap();
    assert!(found.heads[0].epsilon > 0.1 && found.heads[1].epsilon < 0.01, "{found:?}");
    let one_hot = labels(40).one_hot(CLASSES).to_kind(Kind::Double);
    let mut clean = predictions();
    clean.heads = vec![(names(1)[0].clone(), one_hot * 2.0)];
    assert_eq!(Robust::fit(&clean).unwrap().heads[0].epsilon, 0.0);
}

#[test]
fn log_scores_are_finite_where_probabilities_underflow() {
    let robust =
        |epsilon| Robust { heads: vec![RobustHead { temperature: 0.5, epsilon }], nll: 0.0 };
    let logits = Tensor::from_slice2(&[[1e4, 0.0, -1e4]]);
    let predictions = Predictions {
        heads: vec![(names(1)[0].clone(), logits.shallow_clone())],
        ..Predictions::new(logits, labels(1))
    };
    let found: Vec<f64> = Vec::try_from(robust(0.0).logits(&predictions).unwrap().get(0)).unwrap();
    assert_eq!(found, [0.0, -2e4, -4e4]);
    let found: Vec<f64> = Vec::try_from(robust(0.3).logits(&predictions).unwrap().get(0)).unwrap();
    assert_number(found[0], 0.8f64.ln());
    assert_number(found[2], 0.1f64.ln());
}

#[test]
fn a_sample_without_a_modality_does_not_depend_on_its_head() {
    let validation = with_missing();
    let mut other = with_missing();
    for m in 0..2 {
        let rows: Vec<i64> =
            (0..40).filter(|row| !rows_of(&other, m).contains(&(*row as usize))).collect();
        let _ = other.heads[m].1.index_fill_(0, &Tensor::from_slice(&rows), 1e3);
    }
    let all = |p: &Predictions| Prediction::fit_all(p).unwrap();
    assert_eq!(all(&validation), all(&other));
    for prediction in all(&validation) {
        let logits = |p| prediction.logits(p).unwrap();
        assert!(logits(&validation).equal(&logits(&other)), "{}", prediction.name());
    }
}

#[test]
fn the_prediction_of_the_lowest_nll_is_selected() {
    let mut selected = Vec::new();
    let mut bad_fusion = shifted();
    bad_fusion.logits = logits(40, 0.2, 0.0);
    let mut headless = predictions();
    headless.heads.clear();
    let mut bad_heads = predictions();
    bad_heads.heads.iter_mut().for_each(|(_, logits)| *logits = &*logits * -1.0);
    for validation in [headless, bad_heads, predictions(), bad_fusion] {
        let all = Prediction::fit_all(&validation).unwrap();
        let found = Prediction::select(&validation).unwrap();
        let lowest = all.iter().map(Prediction::nll).fold(f64::INFINITY, f64::min);
        assert_eq!(found.nll(), lowest);
        let nll = metrics::nll(&found.logits(&validation).unwrap(), &validation.targets).unwrap();
        assert_agree(nll, lowest, 1e-12);
        for prediction in &all {
            let logits = match prediction {
                Prediction::Fused(t) => &validation.logits / t.value,
                Prediction::Mixture(mixture) => mixture.logits(&validation).unwrap(),
                Prediction::Robust(robust) => robust.logits(&validation).unwrap(),
            };
            assert!(logits.equal(&prediction.logits(&validation).unwrap()));
        }
        let names: Vec<_> = all.iter().map(Prediction::name).collect();
        assert_eq!(
            names,
            &["fused", "mixture", "robust"][..if validation.heads.is_empty() { 1 } else { 3 }]
        );
        selected.push(found.name());
    }
    assert_eq!(selected, ["fused", "fused", "mixture", "robust"]);
}

#[test]
fn logits_are_calibrated_in_double() {
    let mut single = predictions();
    single.logits = single.logits.to_kind(Kind::Float);
    single.heads.iter_mut().for_each(|(_, logits)| *logits = logits.to_kind(Kind::Float));
    for prediction in Prediction::fit_all(&single).unwrap() {
        assert_eq!(prediction.logits(&single).unwrap().kind(), Kind::Double);
    }
}
