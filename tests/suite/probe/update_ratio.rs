//! Updates of the parameters by an optimizer.

use g2d::{loss::Classification, probe::UpdateRatio, trainer::Suppression};

use super::{sum, value};
use crate::support::{FixedKappa, Tiny, assert_number, values, with_prefix};

#[test]
fn the_update_ratio_is_the_relative_change_of_the_parameters() {
    let student = Tiny::linear(2);
    // Weight decay updates m0 although its gradient is zero.
    let mut trainer = student
        .builder(Classification::default())
        .scheduler(FixedKappa(vec![0.0, 1.0]))
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
            let own = with_prefix(&before, &format!("m{m}"));
            let change = sum(&own, |name, old| (&after[name] - old).square());
            *sums += (change / sum(&own, |_, old| old.square())).sqrt() / 2.0;
        }
    }
    let found = trainer.end_epoch().unwrap().measurements;
    for (m, expected) in expected.into_iter().enumerate() {
        assert!(expected > 0.0);
        assert_number(value(&found, "update_ratio", &format!("m{m}")), expected);
    }
}

#[test]
fn the_update_ratio_of_a_suppressed_encoder_is_0() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).scheduler(FixedKappa(vec![0.0, 1.0]));
    let mut trainer = builder.probe(UpdateRatio::with_interval(1)).build(&student).unwrap();
    let mut optimizer = student.optimizer();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    optimizer.step();
    let found = trainer.end_epoch().unwrap().measurements;
    assert_eq!(value(&found, "update_ratio", "m0"), 0.0);
    assert!(value(&found, "update_ratio", "m1") > 0.0);
}
