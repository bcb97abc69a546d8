//! ρ: every formula by hand, and another one in place of the loss's own.

use g2d::{
    Error, G2dLoss,
    loss::{
        Classification, Confidence, ExponentialError, InverseError, Labels, Regression,
        TrueClassProbability,
    },
    schedule::Sequential,
};
use tch::{Kind, Tensor};

use crate::support::{Tiny, assert_number, mismatch, wave};

fn column(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).view([-1, 1])
}

fn of(confidence: &dyn Confidence, predictions: &Tensor, targets: &Tensor) -> f64 {
    let rho = confidence.rho(predictions, targets).unwrap();
    assert_eq!(rho.dim(), 0);
    rho.double_value(&[])
}

#[test]
fn errors_are_measured_against_the_spread_of_the_targets() {
    let (predictions, targets) = (column(&[1.5, 2.0, 2.0, 7.0]), column(&[1.0, 2.0, 3.0, 6.0]));
    let (mse, variance) = ((0.25 + 0.0 + 1.0 + 1.0) / 4.0, (4.0 + 1.0 + 0.0 + 9.0) / 4.0_f64);
    assert_number(of(&ExponentialError, &predictions, &targets), (-mse / variance).exp());
    let inverse = 1.0 / (1.0 + (mse / variance).sqrt());
    assert_number(of(&InverseError, &predictions, &targets), inverse);
    // Flat targets are the same ones; nothing is broadcast.
    assert_number(of(&InverseError, &predictions, &targets.view(-1)), inverse);
    for confidence in [&ExponentialError as &dyn Confidence, &InverseError] {
        assert_eq!(of(confidence, &targets, &targets), 1.0, "a perfect teacher");
    }
    let mean = column(&[3.0; 4]);
    assert_number(of(&ExponentialError, &mean, &targets), (-1.0_f64).exp());
    assert_number(of(&InverseError, &mean, &targets), 0.5);
}

#[test]
fn constant_targets_divide_by_no_zero() {
    for kind in [Kind::Double, Kind::Float] {
        for rows in [1, 4] {
            let targets = Tensor::ones([rows, 1], (kind, tch::Device::Cpu)) * 5.0;
            for confidence in [&ExponentialError as &dyn Confidence, &InverseError] {
                let rho = |off: f64| of(confidence, &(&targets + off), &targets);
                assert_eq!(rho(0.0), 1.0);
                assert!((0.0..1e-15).contains(&rho(0.1)), "{}", rho(0.1));
                assert!(rho(1e6).is_finite());
            }
        }
    }
}

/// Constant targets through a whole step: ranked, finite, and both teachers' errors count as 0.
#[test]
fn a_batch_of_one_target_value_trains() {
    let student = Tiny::linear(2);
    let batch = student.batch(4, 0.0);
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
    let batch = g2d::Batch::new(inputs, wave(0.0, &[4, 3]) * 0.0 + 2.0);
    let schedule = Sequential::new([1]);
    let builder = student.taught(Regression::default()).scheduler(schedule);
    let mut trainer = builder.build(&student).unwrap();
    let read = trainer.step(&student, &batch).unwrap().read().unwrap();
    assert_eq!(read.confidence, [Some(0.0), Some(0.0)]);
    assert_eq!(read.kappa, [1.0, 0.0], "a tie keeps the modalities' order");
}

#[test]
fn losses_bring_their_own() {
    let (logits, values) = (wave(0.1, &[4, 3]), wave(0.7, &[4, 3]));
    let labels = Tensor::from_slice(&[0_i64, 2, 1, 1]);
    let many = labels.one_hot(3).to_kind(Kind::Double);
    let pairs: [(&dyn G2dLoss, &dyn Confidence, &Tensor); 3] = [
        (&Classification::default(), &TrueClassProbability::default(), &labels),
        (
            &Classification::multi_label(Default::default()),
            &TrueClassProbability { labels: Labels::Multi },
            &many,
        ),
        (&Regression::default(), &ExponentialError, &values),
    ];
    for (loss, confidence, targets) in pairs {
        let own = loss.confidence(&logits, targets).unwrap().double_value(&[]);
        assert_eq!(own, of(confidence, &logits, targets));
    }
}

/// Reports carry the other ρ, and schedules rank by it.
#[test]
fn another_confidence_takes_the_place_of_the_loss_s() {
    let student = Tiny::linear(3);
    let batch = student.batch(5, 0.3);
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
    let targets = wave(0.9, &[5, 3]);
    let batch = g2d::Batch::new(inputs, targets.copy());
    let read = |negated: bool| {
        let builder = student.taught(Regression::default()).scheduler(Sequential::new([1]));
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
        let said = g2d::Teacher::output(&student.teacher(m, 4).0, m, &batch).unwrap();
        let rho = of(&InverseError, &said.logits, &targets);
        assert_eq!(plain.confidence[m], Some(rho));
        assert_eq!(negated.confidence[m], Some(-rho));
        weakest = if rho < weakest.1 { (m, rho) } else { weakest };
    }
    assert_eq!(plain.kappa[weakest.0], 1.0);
    assert_eq!(plain.kappa.iter().sum::<f64>(), 1.0);
    assert_eq!(negated.kappa[weakest.0], 0.0, "turned round, the weakest is the strongest");
    assert_eq!(plain.terms.total, negated.terms.total, "ρ is no part of the loss");
}

#[test]
fn a_confidence_is_one_number() {
    let student = Tiny::linear(2);
    let builder = student.taught(Classification::default());
    let builder = builder.confidence(|logits: &Tensor, _: &Tensor| Ok(logits.shallow_clone()));
    let mut trainer = builder.build(&student).unwrap();
    let found = trainer.step(&student, &student.batch(4, 0.0));
    let error = mismatch(found, &["confidence", "\"m0\"", "scalar", "[4, 3]"]);
    assert!(matches!(error, Error::Shape(_)));
}

/// Settings in files are as before: the formula of ρ is chosen in code.
#[test]
fn settings_have_no_field_for_it() {
    let read = |text: &str| serde_json::from_str::<Regression>(text);
    let text = serde_json::to_string(&Regression::default()).unwrap();
    assert_eq!(read(&text).unwrap(), Regression::default());
    assert!(read("{\"confidence\": \"inverse_error\"}").is_err());
}
