//! A modality that is missing in the whole batch: neither its encoder nor its teacher runs, and its
//! encoder is not updated.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Batch, Features, G2dTrainer, Modality, Result, Student, Teacher, TeacherOutput,
    loss::Classification,
    schedule::Sequential,
    trainer::{GradientScope, Suppression},
};
use tch::Tensor;

use super::masked;
use crate::support::{
    ModifiedStudent, Tiny, WIDTH, assert_error, assert_mismatch, assert_number, assert_same,
    gradients, select_rows, unimodal_logits, values, with_prefix,
};

/// The calls of encoders and teachers, with the number of samples.
type Log = Rc<RefCell<Vec<(&'static str, usize, i64)>>>;

/// Another student that logs the calls of its encoders and keeps the input of the fusion.
struct LoggingStudent<'a> {
    inner: &'a Tiny,
    log: Log,
    fused: RefCell<Vec<Tensor>>,
}

impl Student for LoggingStudent<'_> {
    fn modalities(&self) -> &[Modality] {
        self.inner.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.log.borrow_mut().push(("student", m, batch.size()));
        self.inner.encode(m, batch, train)
    }
    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        self.fused.replace(features.iter().map(Tensor::shallow_clone).collect());
        self.inner.fuse(features, train)
    }
    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.inner.feature_shape(m)
    }
}

/// Another teacher that logs its calls.
struct LoggingTeacher<T>(T, Log);

impl<T: Teacher> Teacher for LoggingTeacher<T> {
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
fn neither_encoder_nor_teacher_of_a_missing_modality_runs_and_its_features_are_zeros() {
    let student = Tiny::linear(3);
    let log = Log::default();
    let builder = (0..3).fold(student.builder(Classification::default()), |builder, m| {
        builder.teacher(LoggingTeacher(student.teacher(m, WIDTH).0, log.clone()))
    });
    let mut trainer = builder.scheduler(Sequential::new([10])).build(&student).unwrap();
    let logging = LoggingStudent { inner: &student, log: log.clone(), fused: RefCell::default() };
    trainer.step(&logging, &masked(&student, 0.0, &present())).unwrap();
    let expected = [("teacher", 0, 4), ("teacher", 2, 3), ("student", 0, 4), ("student", 2, 3)];
    assert_eq!(*log.borrow(), expected);

    let fused = logging.fused.borrow();
    assert_eq!(fused[1].size(), [4, WIDTH]);
    assert!(!fused[1].requires_grad(), "the zeros are constant");
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    assert_eq!(largest(&fused[1]), 0.0);
    assert_eq!(largest(&fused[2].get(1)), 0.0);
    assert!(largest(&fused[2].get(0)) > 0.0);
}

fn build(student: &Tiny, suppression: Suppression) -> G2dTrainer {
    student
        .builder_with_teachers(Classification::default())
        .suppression(suppression)
        .build(student)
        .unwrap()
}

#[test]
fn the_encoder_of_a_missing_modality_is_not_updated() {
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
        // Including the running statistics.
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

#[test]
fn without_teachers_kappa_of_a_missing_modality_is_0_as_well() {
    let student = Tiny::linear(3);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let report = trainer.step(&student, &masked(&student, 0.0, &present())).unwrap();
    assert_eq!(report.kappa(), [1.0, 0.0, 1.0]);
    assert!(report.confidence.iter().all(Option::is_none));
    let found = gradients(&student.vs);
    assert!(with_prefix(&found, "m1").is_empty() && !with_prefix(&found, "m2").is_empty());
}

#[test]
fn a_missing_modality_without_feature_shape_of_the_student_is_an_error() {
    let student = Tiny::conv(3);
    let shapeless = ModifiedStudent::without_optional_methods(&student);
    let mut trainer = build(&student, Suppression::SkipBackward);
    let before = values(&student.vs);
    let found = trainer.step(&shapeless, &masked(&student, 0.0, &present()));
    assert_mismatch(found, &["\"m1\"", "Student::feature_shape", "implement"]);
    assert_same(&values(&student.vs), &before);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 0);
    // A modality that some rows have needs no shape.
    let some = [vec![true, true], vec![false, true], vec![true, false]];
    trainer.step(&shapeless, &masked(&student, 0.0, &some)).unwrap();
    let found = g2d::evaluate(&shapeless, [Ok(masked(&student, 0.0, &present()))]);
    assert_error(found.map(drop), &["\"m1\"", "Student::feature_shape"]);
}

#[cfg(feature = "paper")]
#[test]
fn ogm_compares_the_present_modalities_by_the_samples_that_have_them() {
    use g2d::{G2dLoss, paper::baselines::Ogm};
    let student = Tiny::linear(3);
    let batch = masked(&student, 0.0, &present());
    let ogm = Ogm::new(0.3, 0..=9).scope(GradientScope::All);
    let builder = student.builder(Classification::default()).modulation(ogm);
    let report = builder.build(&student).unwrap().step(&student, &batch).unwrap();
    let zeros = || Tensor::zeros([4, WIDTH], (tch::Kind::Double, tch::Device::Cpu));
    let score = |m: usize, rows: &[i64]| {
        let part = select_rows(&batch, rows);
        let features: Vec<_> = (0..3)
            .map(|j| {
                if j == m {
                    student.encode(m, &part, true).unwrap()
                } else {
                    zeros().narrow(0, 0, rows.len() as i64)
                }
            })
            .collect();
        let logits = unimodal_logits(&student, m, &features, &part);
        Classification::default().confidence(&logits, part.targets()).unwrap().double_value(&[])
    };
    let (a, c) = (score(0, &[0, 1, 2, 3]), score(2, &[0, 2, 3]));
    let factor = |own: f64, other: f64| {
        let ratio = own / other;
        if ratio > 1.0 { 1.0 - (0.3 * ratio).tanh() } else { 1.0 }
    };
    let found = report.kappa();
    assert_number(found[0], factor(a, c));
    assert_number(found[2], factor(c, a));
    assert_eq!(found[1], 0.0);
}
