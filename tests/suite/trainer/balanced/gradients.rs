//! Gradients against plain autograd.

use g2d::{ModalityParams, Student, loss::Distillation, trainer::Suppression};
use tch::{Kind, Tensor, nn};

use super::{all_terms, by_hand, trainer};
use crate::support::{LateFusion, Snapshot, Tiny, assert_close, gradients, with_prefix};

#[test]
fn gradients_are_those_of_plain_autograd_under_every_kappa_on_the_fused_loss() {
    let (tiny, late) = (Tiny::linear(2), LateFusion::new(&[0.7, 0.3], Kind::Double));
    let students: [(&dyn Student, &nn::VarStore, &dyn Fn() -> ModalityParams); 2] =
        [(&tiny, &tiny.vs, &|| tiny.params()), (&late, &late.vs, &|| late.params())];
    for (student, vs, params) in students {
        let batch = tiny.batch(5, 0.0);
        let [fused, direct] = by_hand(student, vs, &batch);
        for (suppression, kappa) in [
            (Suppression::SkipBackward, [1.0, 1.0]),
            (Suppression::FusedLoss, [1.0, 1.0]),
            (Suppression::FusedLoss, [0.0, 1.0]),
            (Suppression::FusedLoss, [0.3, 0.0]),
            (Suppression::FusedLoss, [0.0, 0.0]),
        ] {
            vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
            let plans = vec![kappa.to_vec()];
            let mut trainer = trainer(student, params(), all_terms(), suppression, plans, 1);
            trainer.step(student, &batch).unwrap();
            let found = gradients(vs);
            assert!(found.keys().eq(fused.keys()), "every parameter has a gradient");
            for (name, gradient) in found {
                let kappa = match name.split('.').next() {
                    Some("m0") => kappa[0],
                    Some("m1") => kappa[1],
                    _ => 1.0,
                };
                assert_close(&gradient, &(&fused[&name] * kappa + &direct[&name]));
            }
        }
    }
}

#[test]
fn kappa_0_under_skip_backward_leaves_the_head_alone_to_learn() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let batch = Tiny::linear(2).batch(5, 0.0);
    let [fused, direct] = by_hand(&student, &student.vs, &batch);
    let (skip, plans) = (Suppression::SkipBackward, vec![vec![0.0, 1.0]]);
    let mut trainer = trainer(&student, student.params(), all_terms(), skip, plans, 1);
    trainer.step(&student, &batch).unwrap();
    let found = gradients(&student.vs);
    assert!(with_prefix(&found, "m0").is_empty());
    for (name, gradient) in found {
        assert_close(&gradient, &(&fused[&name] + &direct[&name]));
    }
}

#[test]
fn without_feature_and_head_terms_kappa_0_on_the_fused_loss_leaves_no_gradient() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let (fused, plans) = (Suppression::FusedLoss, vec![vec![0.0, 1.0]]);
    let loss = Distillation { alpha: 0.0, ..Distillation::default() };
    let mut trainer = trainer(&student, student.params(), loss, fused, plans, 1);
    let report = trainer.step(&student, &Tiny::linear(2).batch(5, 0.0)).unwrap();
    assert!(report.terms.head.is_empty() && report.terms.logit[0].is_some());
    let found = gradients(&student.vs);
    assert!(with_prefix(&found, "m0").is_empty() && !with_prefix(&found, "m1").is_empty());
    assert!(!with_prefix(&found, "head_m0").is_empty());
}

#[test]
fn a_window_sums_the_gradients_of_its_micro_batches_under_kappa_on_the_fused_loss() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let plans = vec![vec![0.0, 1.0], vec![0.3, 0.0], vec![1.0, 0.0]];
    let batch = |i: usize| Tiny::linear(2).batch(4, i as f64);
    let mut expected = Snapshot::new();
    for (i, kappa) in plans.iter().enumerate() {
        let [fused, direct] = by_hand(&student, &student.vs, &batch(i));
        for (name, direct) in direct {
            let kappa = match name.split('.').next() {
                Some("m0") => kappa[0],
                Some("m1") => kappa[1],
                _ => 1.0,
            };
            let own = (&fused[&name] * kappa + direct) / 3.0;
            let sum = expected.remove(&name).map_or(own.copy(), |sum| sum + own);
            expected.insert(name, sum);
        }
    }
    let params = student.params();
    let mut trainer = trainer(&student, params, all_terms(), Suppression::FusedLoss, plans, 3);
    for i in 0..3 {
        let report = trainer.step(&student, &batch(i)).unwrap();
        assert_eq!(report.outcome.is_ready(), i == 2);
    }
    let found = gradients(&student.vs);
    assert!(found.keys().eq(expected.keys()));
    found.iter().for_each(|(name, gradient)| assert_close(gradient, &expected[name]));
}
