//! The number of times that a step synchronises with the device. Reads from the CPU count as well,
//! so that the tests need no GPU.

use std::{cell::Cell, rc::Rc};

use g2d::{
    loss::{Classification, Confidence, Distillation, EnsembleTerm, TrueClassProbability},
    schedule::{Ranking, Sequential},
    trainer::{Builder, NonFinite, Precision, Suppression},
};
use tch::Tensor;

use crate::support::{Tiny, count_synchronisations, names};

/// The number of synchronisations in each of three steps of the second epoch.
fn synchronisations(student: &Tiny, builder: Builder) -> Vec<u64> {
    let mut trainer = builder.build(student).unwrap();
    trainer.step(student, &student.batch(6, 0.0)).unwrap();
    trainer.end_epoch().unwrap();
    let step =
        |_| count_synchronisations(|| trainer.step(student, &student.batch(6, 0.0)).unwrap()).1;
    (0..3).map(step).collect()
}

fn cached(student: &Tiny) -> Builder {
    student.builder_with_cached_teachers(Classification::default(), || vec![student.batch(6, 0.0)])
}

#[test]
fn a_step_synchronises_at_most_once_and_only_for_a_ranking_by_live_teachers() {
    let student = Tiny::linear(2);
    let live = || student.builder_with_teachers(Classification::default());
    let stages = || Sequential::new([9]);
    assert_eq!(synchronisations(&student, live().scheduler(stages())), [1, 1, 1]);
    assert_eq!(synchronisations(&student, cached(&student).scheduler(stages())), [0, 0, 0]);
    let fixed = Ranking::Fixed(names(2));
    assert_eq!(synchronisations(&student, live().scheduler(stages().ranking(fixed))), [0, 0, 0]);
    let previous = stages().ranking(Ranking::PreviousEpoch);
    assert_eq!(synchronisations(&student, live().scheduler(previous)), [0, 0, 0]);
    assert_eq!(synchronisations(&student, live()), [0, 0, 0], "joint");
}

#[test]
fn a_balanced_step_synchronises_no_more_than_another() {
    let student = Tiny::linear(2);
    let distillation =
        Distillation { ensemble: Some(EnsembleTerm::default()), ..Distillation::balanced() };
    let loss = Classification::new(distillation);
    let live = || {
        let builder = student.builder_with_teachers(loss.clone());
        builder.suppression(Suppression::FusedLoss)
    };
    assert_eq!(synchronisations(&student, live()), [0, 0, 0], "joint");
    let stages = || Sequential::new([9]);
    assert_eq!(synchronisations(&student, live().scheduler(stages())), [1, 1, 1]);
    let held_out = names(2).into_iter().zip([0.25, 0.75]).collect();
    let ranked = stages().ranking(Ranking::HeldOut(held_out));
    assert_eq!(synchronisations(&student, live().scheduler(ranked)), [0, 0, 0]);
    assert_eq!(synchronisations(&student, live().precision(Precision::Bf16)), [0, 0, 0]);
}

#[test]
fn a_check_of_the_gradients_synchronises_once_per_window() {
    let student = Tiny::linear(2);
    let skip = |builder: Builder| builder.non_finite(NonFinite::Skip);
    assert_eq!(synchronisations(&student, skip(cached(&student))), [1, 1, 1]);
    assert_eq!(synchronisations(&student, cached(&student).precision(Precision::Fp16)), [1, 1, 1]);
    assert_eq!(synchronisations(&student, cached(&student).precision(Precision::Bf16)), [0, 0, 0]);
    assert_eq!(synchronisations(&student, skip(cached(&student)).accumulate(3)), [0, 0, 1]);
}

#[test]
fn the_confidence_of_each_teacher_is_computed_once_per_step() {
    let student = Tiny::linear(2);
    for builder in [cached(&student), student.builder_with_teachers(Classification::default())] {
        let calls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&calls);
        let rho = move |logits: &Tensor, targets: &Tensor| {
            counted.set(counted.get() + 1);
            TrueClassProbability::default().rho(logits, targets)
        };
        let builder = builder.scheduler(Sequential::new([9])).confidence(rho);
        let mut trainer = builder.build(&student).unwrap();
        trainer.step(&student, &student.batch(6, 0.0)).unwrap();
        assert_eq!(calls.get(), 2);
    }
}
