//! Gradient norms.

use g2d::{loss::Classification, probe::GradientNorm, trainer::Suppression};
use tch::Kind;

use super::value;
use crate::support::{FixedKappa, Tiny, assert_number, gradients, with_prefix};

#[test]
fn the_gradient_norm_is_that_of_the_gradients_after_the_step() {
    let student = Tiny::linear(3);
    let mut trainer = student
        .builder(Classification::default())
        .scheduler(FixedKappa(vec![1.0, 0.25, 0.0]))
        .probe(GradientNorm::default())
        .build(&student)
        .unwrap();
    let mut expected = [0.0; 3];
    for step in 0..2 {
        student.optimizer().zero_grad();
        trainer.step(&student, &student.batch(4, f64::from(step))).unwrap();
        let all = gradients(&student.vs);
        for (m, sum) in expected.iter_mut().enumerate() {
            let squares = with_prefix(&all, &format!("m{m}"));
            let squares = squares.values().map(|g| g.square().sum(Kind::Double).double_value(&[]));
            *sum += squares.sum::<f64>().sqrt() / 2.0;
        }
    }
    let report = trainer.end_epoch().unwrap();
    for (m, expected) in expected.into_iter().enumerate() {
        assert_number(value(&report.measurements, "gradient_norm", &format!("m{m}")), expected);
    }
    assert_eq!(expected[2], 0.0);
    assert!(expected[0] > 0.0 && expected[1] > 0.0);
}

#[test]
fn the_gradient_norm_of_every_second_step_measures_the_first() {
    let student = Tiny::linear(2);
    let norm = |probe, steps: u64| {
        let builder = student.builder(Classification::default());
        let mut trainer = builder.probe(probe).build(&student).unwrap();
        for step in 0..steps {
            student.optimizer().zero_grad();
            trainer.step(&student, &student.batch(4, step as f64)).unwrap();
        }
        value(&trainer.end_epoch().unwrap().measurements, "gradient_norm", "m0")
    };
    let (first, both) =
        (norm(GradientNorm::with_interval(1), 1), norm(GradientNorm::with_interval(1), 2));
    assert_eq!(norm(GradientNorm::with_interval(2), 2), first);
    assert_ne!(both, first);
}

#[test]
fn zeroed_gradients_have_the_norm_0() {
    let student = Tiny::linear(2);
    let mut trainer = student
        .builder(Classification::default())
        .scheduler(FixedKappa(vec![0.0, 1.0]))
        .suppression(Suppression::ZeroGradient(Default::default()))
        .probe(GradientNorm::default())
        .build(&student)
        .unwrap();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    assert_eq!(value(&trainer.end_epoch().unwrap().measurements, "gradient_norm", "m0"), 0.0);
}
