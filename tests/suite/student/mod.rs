//! The optional methods of `Student`, and the features that L_feat compares.
//!
//! - `closures.rs`: students from closures; `features.rs`: what a fusion reads.

mod closures;
mod features;

mod torchscript;

use g2d::{
    Batch, Features, Modality, Result, Student, Teacher,
    loss::{Classification, Distillation},
};
use tch::Tensor;

use crate::support::{
    ModifiedStudent, Tiny, WIDTH, assert_mismatch, assert_number, assert_same, gradients, values,
};

/// Implements the required methods alone.
struct Required<'a>(&'a Tiny);

impl Student for Required<'_> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.0.encode(m, batch, train)
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        self.0.fuse(features, train)
    }
}

#[test]
fn by_default_the_features_are_distilled_and_the_student_has_no_unimodal_logits() {
    let tiny = Tiny::linear(2);
    let student: Box<dyn Student + '_> = Box::new(Required(&tiny));
    let batch = tiny.batch(3, 0.0);
    let features: Vec<_> = (0..2).map(|m| student.encode(m, &batch, true).unwrap()).collect();
    let all = Features::new(&features, &batch).unwrap();
    let distilled = student.distilled_features(&all).unwrap();
    assert_eq!(distilled, features);
    assert!(distilled.iter().all(Tensor::requires_grad));
    for m in 0..2 {
        assert_eq!(student.feature_shape(m), None);
        assert!(student.unimodal_logits(m, &all).unwrap().is_none());
    }
}

#[test]
fn the_feature_term_compares_the_distilled_features_with_the_teacher() {
    let student = Tiny::linear(2);
    let (batch, before) = (student.batch(4, 0.0), values(&student.vs));
    let loss = Classification::new(Distillation::features_only());
    let mut trainer = student.builder_with_teachers(loss).build(&student).unwrap();
    let doubled = ModifiedStudent::with_distilled_features(&student, |features| {
        features.iter().map(|f| f * 2.0).collect()
    });
    let report = trainer.step(&doubled, &batch).unwrap().read().unwrap();
    for m in 0..2 {
        let teacher = student.teacher(m, WIDTH).0.output(m, &batch).unwrap().features;
        let difference = student.encode(m, &batch, true).unwrap() * 2.0 - teacher;
        let expected = difference.square().mean(None).double_value(&[]);
        assert_number(report.terms.feature[m].unwrap(), expected);
    }

    student.optimizer().zero_grad();
    let one = ModifiedStudent::with_distilled_features(&student, |f| vec![f[0].shallow_clone()]);
    let words = ["distilled features", "2, one for each", "found 1", "Student::distilled_features"];
    assert_mismatch(trainer.step(&one, &batch), &words);
    let short = ModifiedStudent::with_distilled_features(&student, |features| {
        features.iter().map(|f| f.slice(0, 0, 1, 1)).collect()
    });
    let words = ["distilled features of modality \"m0\"", "[4, ", "[1, 4]"];
    assert_mismatch(trainer.step(&short, &batch), &words);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 1);
    assert_same(&before, &values(&student.vs));
}
