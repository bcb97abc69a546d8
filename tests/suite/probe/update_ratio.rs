//! Updates, against optimizers run by hand.

use g2d::{loss::Classification, probe::UpdateRatio, trainer::Suppression};

use super::{sum, value};
use crate::support::{Kappa, Tiny, assert_number, below, values};

#[test]
fn update_ratio_is_what_the_optimizer_did() {
    let student = Tiny::linear(2);
    // A zeroed gradient: momentum and weight decay still move m0, and the ratio shows it.
    let mut trainer = student
        .builder(Classification::default())
        .scheduler(Kappa(vec![0.0, 1.0]))
        .suppression(Suppression::ZeroGradient(Default::default()))
        .probe(UpdateRatio::with_interval(2))
        .build(&student)
        .unwrap();
    let mut optimizer = student.optimizer();
    let mut expected = [0.0; 2];
    for step in 0..3 {
        optimizer.zero_grad();
        trainer.step(&student, &student.batch(4, f64::from(step))).unwrap();
        let before = values(&student.vs);
        optimizer.step();
        let after = values(&student.vs);
        for (m, sums) in expected.iter_mut().enumerate().filter(|_| step != 1) {
            let own = below(&before, &format!("m{m}"));
            let moved = sum(&own, |name, old| (&after[name] - old).square());
            *sums += (moved / sum(&own, |_, old| old.square())).sqrt() / 2.0;
        }
    }
    let found = trainer.end_epoch().unwrap().measurements;
    for (m, expected) in expected.into_iter().enumerate() {
        assert!(expected > 0.0);
        assert_number(value(&found, "update_ratio", &format!("m{m}")), expected);
    }
}

#[test]
fn a_suppressed_encoder_has_update_ratio_zero() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).scheduler(Kappa(vec![0.0, 1.0]));
    let mut trainer = builder.probe(UpdateRatio::with_interval(1)).build(&student).unwrap();
    let mut optimizer = student.optimizer();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    optimizer.step();
    let found = trainer.end_epoch().unwrap().measurements;
    assert_eq!(value(&found, "update_ratio", "m0"), 0.0);
    assert!(value(&found, "update_ratio", "m1") > 0.0);
}
