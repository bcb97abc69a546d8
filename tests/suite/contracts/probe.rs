//! The contract of `ImbalanceProbe`.

use std::collections::BTreeSet;

use g2d::{
    ImbalanceProbe,
    loss::Classification,
    probe::{
        ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, LossRatio, ModalityGap,
        StudentConfidence, TeacherCka, UpdateRatio,
    },
    step::Measurement,
};
use tch::nn;

use crate::support::{Kappa, Tiny, assert_same, gradients, values};

/// Two epochs of three steps with or without a probe: gradients of every step, parameters at the
/// end, and what was measured.
struct Trace {
    gradients: Vec<std::collections::BTreeMap<String, tch::Tensor>>,
    values: std::collections::BTreeMap<String, tch::Tensor>,
    measured: Vec<Vec<Measurement>>,
}

fn train<P: ImbalanceProbe + 'static>(probe: Option<P>, k: usize, kappa: &[f64]) -> Trace {
    let student = Tiny::linear(k);
    let mut builder = student.taught(Classification::default()).scheduler(Kappa(kappa.to_vec()));
    if let Some(probe) = probe {
        builder = builder.probe(probe);
    }
    let mut trainer = builder.build(&student).unwrap();
    let mut optimizer: nn::Optimizer = student.optimizer();
    let (mut all, mut measured) = (Vec::new(), Vec::new());
    for epoch in 0..2 {
        for step in 0..3 {
            optimizer.zero_grad();
            trainer.step(&student, &student.batch(4 + step, (epoch * 3 + step) as f64)).unwrap();
            all.push(gradients(&student.vs));
            optimizer.step();
        }
        measured.push(trainer.end_epoch().unwrap().measurements);
    }
    Trace { gradients: all, values: values(&student.vs), measured }
}

fn contract<P: ImbalanceProbe + 'static>(new: impl Fn() -> P) {
    assert_eq!(new().end_epoch().unwrap(), [], "nothing seen, nothing measured");
    for kappa in [vec![1.0, 1.0], vec![0.0, 1.0], vec![1.0, 0.3, 0.0]] {
        let k = kappa.len();
        let (with, without) = (train(Some(new()), k, &kappa), train(None::<P>, k, &kappa));
        for (a, b) in with.gradients.iter().zip(&without.gradients) {
            assert_same(a, b);
        }
        assert_same(&with.values, &without.values);
        let names = |found: &[Measurement]| -> BTreeSet<_> {
            found.iter().map(|m| (m.metric.clone(), m.modality.clone())).collect()
        };
        let first = names(&with.measured[0]);
        assert!(!first.is_empty());
        for found in &with.measured {
            assert_eq!(names(found), first, "names are stable");
            assert_eq!(found.len(), first.len(), "one measurement a name and modality");
            assert!(found.iter().all(|m| m.value.is_finite()), "{found:?}");
        }
    }
}

#[test]
fn confidence_ratio() {
    contract(ConfidenceRatio::default);
}

#[test]
fn gradient_norm() {
    contract(GradientNorm::default);
    contract(|| GradientNorm::with_interval(2));
    contract(|| GradientNorm::with_interval(0));
}

#[test]
fn heads() {
    contract(StudentConfidence::default);
    contract(HeadAccuracy::default);
    contract(LossRatio::default);
}

#[test]
fn update_ratio() {
    contract(|| UpdateRatio::with_interval(1));
    contract(|| UpdateRatio::with_interval(2));
}

#[test]
fn gradient_cosine() {
    contract(|| GradientCosine::with_interval(1));
    contract(|| GradientCosine::with_interval(2));
}

#[test]
fn features() {
    contract(|| TeacherCka::with_interval(1));
    contract(ModalityGap::default);
}
