//! A modality that the whole batch lacks: nobody is asked about it, and it stands still.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Batch, G2dTrainer, Modality, Result, Student, Teacher, TeacherOutput,
    loss::Classification,
    schedule::PerBatch,
    trainer::{GradientScope, Suppression},
};
use tch::Tensor;

use super::masked;
use crate::support::{ModifiedStudent, Tiny, WIDTH, assert_same, with_prefix, gradients, assert_mismatch, assert_error, values};

/// Who was asked, with how many samples.
type Log = Rc<RefCell<Vec<(&'static str, usize, i64)>>>;

/// A student that logs whose encoder runs, and keeps what the fusion sees.
struct Watched<'a> {
    inner: &'a Tiny,
    log: Log,
    seen: RefCell<Vec<Tensor>>,
}

impl Student for Watched<'_> {
    fn modalities(&self) -> &[Modality] {
        self.inner.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.log.borrow_mut().push(("student", m, batch.size()));
        self.inner.encode(m, batch, train)
    }
    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        self.seen.replace(features.iter().map(Tensor::shallow_clone).collect());
        self.inner.fuse(features, train)
    }
    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.inner.feature_shape(m)
    }
}

struct Asked<T>(T, Log);

impl<T: Teacher> Teacher for Asked<T> {
    fn modality(&self) -> &Modality {
        self.0.modality()
    }
    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        self.1.borrow_mut().push(("teacher", m, batch.size()));
        self.0.output(m, batch)
    }
}

fn present() -> Vec<Vec<bool>> {
    vec![vec![true; 4], vec![false; 4], vec![true, false, true, true]]
}

#[test]
fn neither_its_encoder_nor_its_teacher_runs() {
    let student = Tiny::linear(3);
    let log = Log::default();
    let builder = (0..3).fold(student.builder(Classification::default()), |builder, m| {
        builder.teacher(Asked(student.teacher(m, WIDTH).0, log.clone()))
    });
    let mut trainer = builder.scheduler(PerBatch::window(0..=9)).build(&student).unwrap();
    let watched = Watched { inner: &student, log: log.clone(), seen: RefCell::default() };
    trainer.step(&watched, &masked(&student, 0.0, &present())).unwrap();
    let expected = [("teacher", 0, 4), ("teacher", 2, 3), ("student", 0, 4), ("student", 2, 3)];
    assert_eq!(*log.borrow(), expected);

    let seen = watched.seen.borrow();
    assert_eq!(seen[1].size(), [4, WIDTH]);
    assert!(!seen[1].requires_grad(), "a constant");
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    assert_eq!(largest(&seen[1]), 0.0);
    assert_eq!(largest(&seen[2].get(1)), 0.0);
    assert!(largest(&seen[2].get(0)) > 0.0);
}

fn build(student: &Tiny, suppression: Suppression) -> G2dTrainer {
    student.builder_with_teachers(Classification::default()).suppression(suppression).build(student).unwrap()
}

#[test]
fn its_encoder_stands_still_whatever_the_optimizer() {
    let zero = Suppression::ZeroGradient(GradientScope::All);
    for suppression in [Suppression::SkipBackward, zero] {
        let student = Tiny::conv(3);
        let mut trainer = build(&student, suppression);
        let mut optimizer = student.optimizer(); // momentum and weight decay
        trainer.step(&student, &student.batch(4, 1.0)).unwrap();
        optimizer.step();
        let before = values(&student.vs);
        optimizer.zero_grad();
        let report = trainer.step(&student, &masked(&student, 0.0, &present())).unwrap();
        assert_eq!(report.plan.kappa(), [1.0, 0.0, 1.0]);
        assert!(with_prefix(&gradients(&student.vs), "m1").is_empty());
        optimizer.step();
        let after = values(&student.vs);
        // Running statistics too: the encoder did not run.
        assert_same(&with_prefix(&after, "m1"), &with_prefix(&before, "m1"));
        for name in ["m0.conv.weight", "m2.conv.weight", "head.weight"] {
            assert!(!after[name].equal(&before[name]), "{name} did not learn");
        }
        optimizer.zero_grad();
        trainer.step(&student, &student.batch(4, 2.0)).unwrap();
        optimizer.step();
        assert!(!values(&student.vs)["m1.conv.weight"].equal(&before["m1.conv.weight"]));
    }
}

/// Without teachers, too.
#[test]
fn joint_training_without_teachers() {
    let student = Tiny::linear(3);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let report = trainer.step(&student, &masked(&student, 0.0, &present())).unwrap();
    assert_eq!(report.kappa(), [1.0, 0.0, 1.0]);
    assert!(report.confidence.iter().all(Option::is_none));
    let found = gradients(&student.vs);
    assert!(with_prefix(&found, "m1").is_empty() && !with_prefix(&found, "m2").is_empty());
}

/// `Bent` does not tell the shape of its features.
#[test]
fn a_student_that_does_not_tell_its_width_is_refused() {
    let student = Tiny::conv(3);
    let bent = ModifiedStudent::with_logits(&student, |logits| logits);
    let mut trainer = build(&student, Suppression::SkipBackward);
    let before = values(&student.vs);
    let found = trainer.step(&bent, &masked(&student, 0.0, &present()));
    assert_mismatch(found, &["\"m1\"", "Student::feature_shape", "implement"]);
    assert_same(&values(&student.vs), &before);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 0);
    // Rows alone need no width.
    let some = [vec![true, true], vec![false, true], vec![true, false]];
    trainer.step(&bent, &masked(&student, 0.0, &some)).unwrap();
    let found = g2d::evaluate(&bent, [Ok(masked(&student, 0.0, &present()))]);
    assert_error(found.map(drop), &["\"m1\"", "Student::feature_shape"]);
}

/// OGM balances the modalities that are there, by the samples that have them.
#[cfg(feature = "paper")]
#[test]
fn ogm_weighs_those_that_are_there() {
    use g2d::{G2dLoss, paper::baselines::Ogm};
    let student = Tiny::linear(3);
    let batch = masked(&student, 0.0, &present());
    let ogm = Ogm::new(0.3, 0..=9).scope(GradientScope::All);
    let builder = student.builder(Classification::default()).modulation(ogm);
    let report = builder.build(&student).unwrap().step(&student, &batch).unwrap();
    let zeros = || Tensor::zeros([4, WIDTH], (tch::Kind::Double, tch::Device::Cpu));
    let score = |m: usize, rows: &[i64]| {
        let part = super::subset(&batch, rows);
        let features: Vec<_> = (0..3)
            .map(|j| {
                if j == m {
                    student.encode(m, &part, true).unwrap()
                } else {
                    zeros().narrow(0, 0, rows.len() as i64)
                }
            })
            .collect();
        let logits = student.unimodal_logits(m, &features).unwrap();
        Classification::default().confidence(&logits, part.targets()).unwrap().double_value(&[])
    };
    let (a, c) = (score(0, &[0, 1, 2, 3]), score(2, &[0, 2, 3]));
    let factor = |own: f64, other: f64| {
        let ratio = own / other;
        if ratio > 1.0 { 1.0 - (0.3 * ratio).tanh() } else { 1.0 }
    };
    let found = report.kappa();
    crate::support::assert_number(found[0], factor(a, c));
    crate::support::assert_number(found[2], factor(c, a));
    assert_eq!(found[1], 0.0);
}
