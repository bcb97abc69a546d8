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

use crate::support::{FixedKappa, Snapshot, Tiny, assert_same, gradients, values};

/// Two epochs of three steps: the gradients of every step, the variables at the end, and the
/// measurements of each epoch.
struct Trace {
    gradients: Vec<Snapshot>,
    values: Snapshot,
    measurements: Vec<Vec<Measurement>>,
}

fn train<P: ImbalanceProbe + 'static>(probe: Option<P>, k: usize, kappa: &[f64]) -> Trace {
    let student = Tiny::linear(k);
    let mut builder = student
        .builder_with_teachers(Classification::default())
        .scheduler(FixedKappa(kappa.to_vec()));
    if let Some(probe) = probe {
        builder = builder.probe(probe);
    }
    let mut trainer = builder.build(&student).unwrap();
    let mut optimizer = student.optimizer();
    let (mut all, mut measurements) = (Vec::new(), Vec::new());
    for epoch in 0..2 {
        for step in 0..3 {
            optimizer.zero_grad();
            trainer.step(&student, &student.batch(4 + step, (epoch * 3 + step) as f64)).unwrap();
            all.push(gradients(&student.vs));
            optimizer.step();
        }
        measurements.push(trainer.end_epoch().unwrap().measurements);
    }
    Trace { gradients: all, values: values(&student.vs), measurements }
}

fn contract<P: ImbalanceProbe + 'static>(new: impl Fn() -> P) {
    assert_eq!(new().end_epoch().unwrap(), [], "no step, no measurement");
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
        let first = names(&with.measurements[0]);
        assert!(!first.is_empty());
        for found in &with.measurements {
            assert_eq!(names(found), first, "every epoch has the same names");
            assert_eq!(found.len(), first.len(), "one measurement per name and modality");
            assert!(found.iter().all(|m| m.value.is_finite()), "{found:?}");
        }
    }
}

#[test]
fn confidence_ratio_keeps_the_contract() {
    contract(ConfidenceRatio::default);
}

#[test]
fn gradient_norm_keeps_the_contract() {
    contract(GradientNorm::default);
    contract(|| GradientNorm::with_interval(2));
    contract(|| GradientNorm::with_interval(0));
}

#[test]
fn probes_of_unimodal_heads_keep_the_contract() {
    contract(StudentConfidence::default);
    contract(HeadAccuracy::default);
    contract(LossRatio::default);
}

#[test]
fn update_ratio_keeps_the_contract() {
    contract(|| UpdateRatio::with_interval(1));
    contract(|| UpdateRatio::with_interval(2));
}

#[test]
fn gradient_cosine_keeps_the_contract() {
    contract(|| GradientCosine::with_interval(1));
    contract(|| GradientCosine::with_interval(2));
}

#[test]
fn probes_of_features_keep_the_contract() {
    contract(|| TeacherCka::with_interval(1));
    contract(ModalityGap::default);
}
