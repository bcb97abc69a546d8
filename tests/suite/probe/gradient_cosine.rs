//! Cosines between the gradients of the loss terms.

use g2d::{
    loss::{Classification, Distillation},
    probe::GradientCosine,
};

use super::{sum, value};
use crate::support::{FixedKappa, Snapshot, Tiny, assert_number, gradients, with_prefix};

/// The gradients of a step with these weights of the terms.
fn gradients_with_weights(task_weight: f64, alpha: f64, beta: f64) -> Snapshot {
    let student = Tiny::linear(2);
    let loss = Distillation { task_weight, alpha, beta, ..Distillation::default() };
    let mut trainer =
        student.builder_with_teachers(Classification::new(loss)).build(&student).unwrap();
    trainer.step(&student, &student.batch(5, 1.0)).unwrap();
    gradients(&student.vs)
}

#[test]
fn the_cosines_are_those_of_the_gradients_of_single_terms() {
    let terms = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let terms = terms.map(|[task, alpha, beta]| gradients_with_weights(task, alpha, beta));
    let student = Tiny::linear(2);
    // Terms are compared before their weights.
    let loss = Distillation { alpha: 0.3, beta: 7.0, ..Distillation::default() };
    let builder = student
        .builder_with_teachers(Classification::new(loss))
        .probe(GradientCosine::with_interval(1));
    let mut trainer = builder.build(&student).unwrap();
    trainer.step(&student, &student.batch(5, 1.0)).unwrap();
    let found = trainer.end_epoch().unwrap().measurements;
    for m in ["m0", "m1"] {
        let cosine = |a: usize, b: usize| {
            let (a, b) = (with_prefix(&terms[a], m), with_prefix(&terms[b], m));
            let squares = sum(&a, |_, g| g.square()) * sum(&b, |_, g| g.square());
            sum(&a, |name, g| g * &b[name]) / squares.sqrt()
        };
        assert_number(value(&found, "cosine_task_feature", m), cosine(0, 1));
        assert_number(value(&found, "cosine_task_logit", m), cosine(0, 2));
        assert_number(value(&found, "cosine_feature_logit", m), cosine(1, 2));
    }
}

#[test]
fn without_teachers_or_gradients_no_cosine_is_measured() {
    let student = Tiny::linear(2);
    let builder =
        student.builder(Classification::default()).probe(GradientCosine::with_interval(1));
    let mut trainer = builder.build(&student).unwrap();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    assert_eq!(trainer.end_epoch().unwrap().measurements, []);

    let builder = student
        .builder_with_teachers(Classification::default())
        .scheduler(FixedKappa(vec![0.0, 1.0]));
    let mut trainer = builder.probe(GradientCosine::with_interval(1)).build(&student).unwrap();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    let found = trainer.end_epoch().unwrap().measurements;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|m| m.modality.as_ref().unwrap().name() == "m1"));
}
