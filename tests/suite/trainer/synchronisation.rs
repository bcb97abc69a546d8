//! How often a step reads numbers back, each of which is a wait on a device. The counter counts on the
//! CPU what would wait on a GPU.

use std::{cell::Cell, rc::Rc};

use g2d::{
    loss::{Classification, Confidence, TrueClassProbability},
    schedule::{Ranking, Sequential},
    teacher::Cached,
    trainer::{Builder, NonFinite, Precision},
};
use tch::Tensor;

use crate::support::{Tiny, WIDTH, count_synchronisations, names};

/// Reads in each of three steps of the second epoch.
fn reads(student: &Tiny, builder: Builder) -> Vec<u64> {
    let mut trainer = builder.build(student).unwrap();
    trainer.step(student, &student.batch(6, 0.0)).unwrap();
    trainer.end_epoch().unwrap();
    let step =
        |_| count_synchronisations(|| trainer.step(student, &student.batch(6, 0.0)).unwrap()).1;
    (0..3).map(step).collect()
}

fn cached(student: &Tiny) -> Builder {
    (0..2).fold(student.builder(Classification::default()), |builder, m| {
        let live = student.teacher(m, WIDTH).0;
        let all = [Ok(student.batch(6, 0.0))];
        builder.teacher(Cached::record(&live, m, all).unwrap())
    })
}

#[test]
fn a_step_waits_for_the_device_once_at_most() {
    let student = Tiny::linear(2);
    let live = || student.builder_with_teachers(Classification::default());
    let stages = || Sequential::new([9]);
    assert_eq!(reads(&student, live().scheduler(stages())), [1, 1, 1]);
    assert_eq!(reads(&student, cached(&student).scheduler(stages())), [0, 0, 0]);
    let fixed = Ranking::Fixed(names(2));
    assert_eq!(reads(&student, live().scheduler(stages().ranking(fixed))), [0, 0, 0]);
    let previous = stages().ranking(Ranking::PreviousEpoch);
    assert_eq!(reads(&student, live().scheduler(previous)), [0, 0, 0]);
    assert_eq!(reads(&student, live()), [0, 0, 0], "joint");
}

/// Looking at gradients costs one more, once a window.
#[test]
fn looking_at_gradients_costs_a_wait_a_window() {
    let student = Tiny::linear(2);
    let skip = |builder: Builder| builder.non_finite(NonFinite::Skip);
    assert_eq!(reads(&student, skip(cached(&student))), [1, 1, 1]);
    assert_eq!(reads(&student, cached(&student).precision(Precision::Fp16)), [1, 1, 1]);
    assert_eq!(reads(&student, cached(&student).precision(Precision::Bf16)), [0, 0, 0]);
    assert_eq!(reads(&student, skip(cached(&student)).accumulate(3)), [0, 0, 1]);
}

/// What the schedule ranks by is what the report says, computed once for each teacher.
#[test]
fn confidence_is_computed_once_a_teacher() {
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
