//! The formulas of ρ, and a confidence in place of the loss's own.

use g2d::{
    Error, G2dLoss,
    loss::{
        Classification, Confidence, ExponentialError, InverseError, Labels, Regression,
        TrueClassProbability,
    },
    schedule::Sequential,
};
use tch::{Kind, Tensor};

use crate::support::{Tiny, assert_mismatch, assert_number, wave, with_targets};

fn column(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).view([-1, 1])
}

fn rho_of(confidence: &dyn Confidence, predictions: &Tensor, targets: &Tensor) -> f64 {
    let rho = confidence.rho(predictions, targets).unwrap();
    assert_eq!(rho.dim(), 0);
    rho.double_value(&[])
}

#[test]
fn rho_of_a_regression_depends_on_the_error_relative_to_the_variance_of_the_targets() {
    let (predictions, targets) = (column(&[1.5, 2.0, 2.0, 7.0]), column(&[1.0, 2.0, 3.0, 6.0]));
    let (mse, variance) = ((0.25 + 0.0 + 1.0 + 1.0) / 4.0, (4.0 + 1.0 + 0.0 + 9.0) / 4.0_f64);
    assert_number(rho_of(&ExponentialError, &predictions, &targets), (-mse / variance).exp());
    let inverse = 1.0 / (1.0 + (mse / variance).sqrt());
    assert_number(rho_of(&InverseError, &predictions, &targets), inverse);
    // Targets [B] are not broadcast against predictions [B, 1].
    assert_number(rho_of(&InverseError, &predictions, &targets.view(-1)), inverse);
    for confidence in [&ExponentialError as &dyn Confidence, &InverseError] {
        assert_eq!(rho_of(confidence, &targets, &targets), 1.0, "a perfect teacher");
    }
    let mean = column(&[3.0; 4]);
    assert_number(rho_of(&ExponentialError, &mean, &targets), (-1.0_f64).exp());
    assert_number(rho_of(&InverseError, &mean, &targets), 0.5);
}

#[test]
fn rho_is_finite_for_constant_targets() {
    for kind in [Kind::Double, Kind::Float] {
        for rows in [1, 4] {
            let targets = Tensor::ones([rows, 1], (kind, tch::Device::Cpu)) * 5.0;
            for confidence in [&ExponentialError as &dyn Confidence, &InverseError] {
                let rho = |error: f64| rho_of(confidence, &(&targets + error), &targets);
                assert_eq!(rho(0.0), 1.0);
                assert!((0.0..1e-15).contains(&rho(0.1)), "{}", rho(0.1));
                assert!(rho(1e6).is_finite());
            }
        }
    }
}

#[test]
fn a_step_with_constant_targets_ranks_the_teachers() {
    let student = Tiny::linear(2);
    let batch = with_targets(&student.batch(4, 0.0), wave(0.0, &[4, 3]) * 0.0 + 2.0);
    let builder = student.builder_with_teachers(Regression::default());
    let builder = builder.scheduler(Sequential::new([1]));
    let mut trainer = builder.build(&student).unwrap();
    let read = trainer.step(&student, &batch).unwrap().read().unwrap();
    assert_eq!(read.confidence, [Some(0.0), Some(0.0)]);
    assert_eq!(read.kappa, [1.0, 0.0], "a tie keeps the modalities' order");
}

#[test]
fn every_loss_has_its_own_confidence() {
    let (logits, values) = (wave(0.1, &[4, 3]), wave(0.7, &[4, 3]));
    let labels = Tensor::from_slice(&[0_i64, 2, 1, 1]);
    let many = labels.one_hot(3).to_kind(Kind::Double);
    let pairs: [(&dyn G2dLoss, &dyn Confidence, &Tensor); 3] = [
        (&Classification::default(), &TrueClassProbability::default(), &labels),
        (
            &Classification::multi_label(Default::default()),
            &TrueClassProbability { labels: Labels::Multi, ignore_index: None },
            &many,
        ),
        (&Regression::default(), &ExponentialError, &values),
    ];
    for (loss, confidence, targets) in pairs {
        let own = loss.confidence(&logits, targets).unwrap().double_value(&[]);
        assert_eq!(own, rho_of(confidence, &logits, targets));
    }
}

#[test]
fn a_confidence_of_the_builder_replaces_that_of_the_loss_in_reports_and_ranking() {
    let student = Tiny::linear(3);
    let targets = wave(0.9, &[5, 3]);
    let batch = with_targets(&student.batch(5, 0.3), targets.copy());
    let read = |negated: bool| {
        let builder =
            student.builder_with_teachers(Regression::default()).scheduler(Sequential::new([1]));
        let builder = match negated {
            false => builder.confidence(InverseError),
            true => builder.confidence(|l: &Tensor, y: &Tensor| Ok(-InverseError.rho(l, y)?)),
        };
        let mut trainer = builder.build(&student).unwrap();
        trainer.step(&student, &batch).unwrap().read().unwrap()
    };
    let (plain, negated) = (read(false), read(true));
    let mut weakest = (0, f64::INFINITY);
    for m in 0..3 {
        let output = g2d::Teacher::output(&student.teacher(m, 4).0, m, &batch).unwrap();
        let rho = rho_of(&InverseError, &output.logits, &targets);
        assert_eq!(plain.confidence[m], Some(rho));
        assert_eq!(negated.confidence[m], Some(-rho));
        weakest = if rho < weakest.1 { (m, rho) } else { weakest };
    }
    assert_eq!(plain.kappa[weakest.0], 1.0);
    assert_eq!(plain.kappa.iter().sum::<f64>(), 1.0);
    assert_eq!(negated.kappa[weakest.0], 0.0, "the weakest has the largest −ρ");
    assert_eq!(plain.terms.total, negated.terms.total, "ρ is no part of the loss");
}

#[test]
fn a_confidence_that_is_no_scalar_is_an_error() {
    let student = Tiny::linear(2);
    let builder = student.builder_with_teachers(Classification::default());
    let builder = builder.confidence(|logits: &Tensor, _: &Tensor| Ok(logits.shallow_clone()));
    let mut trainer = builder.build(&student).unwrap();
    let found = trainer.step(&student, &student.batch(4, 0.0));
    let error = assert_mismatch(found, &["confidence", "\"m0\"", "scalar", "[4, 3]"]);
    assert!(matches!(error, Error::Shape(_)));
}

#[test]
fn the_settings_of_a_loss_have_no_confidence() {
    let read = |text: &str| serde_json::from_str::<Regression>(text);
    let text = serde_json::to_string(&Regression::default()).unwrap();
    assert_eq!(read(&text).unwrap(), Regression::default());
    assert!(read("{\"confidence\": \"inverse_error\"}").is_err());
}
