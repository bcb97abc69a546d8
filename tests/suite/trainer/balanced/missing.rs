//! Samples without a modality.

use g2d::{Batch, Student, Teacher, batch::Input, evaluate, trainer::Suppression};
use tch::{Kind, Tensor};

use super::{all_terms, softmax_kl, trainer};
use crate::support::{
    LateFusion, Tiny, WIDTH, assert_number, assert_same, gradients, labels, unimodal_logits,
    with_prefix,
};

/// In training and in evaluation.
#[test]
fn a_sample_that_lacks_a_modality_is_fused_from_the_others() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Double);
    let whole = Tiny::linear(2).batch(4, 0.0);
    let (inputs, targets) = (whole.inputs().iter().map(Input::first).map(Tensor::copy), labels(4));
    let batch = Batch::new(inputs.collect::<Vec<_>>(), targets)
        .with_present(0, [true, true, false, false])
        .with_present(1, [true, false, true, true]);
    let features = [0, 1].map(|m| student.encode(m, &whole, true).unwrap());
    let heads = [0, 1].map(|m| unimodal_logits(&student, m, &features, &whole));
    let rows = [
        &heads[0].get(0) * 0.7 + &heads[1].get(0) * 0.3,
        heads[0].get(1),
        heads[1].get(2),
        heads[1].get(3),
    ];
    let expected = Tensor::stack(&rows, 0);
    let near = |found: &Tensor| {
        let error = (found - &expected).abs().max().double_value(&[]);
        assert!(error < 1e-7, "{error}: the weights were rounded to Float");
    };
    near(&evaluate(&student, [Ok(copy(&batch))]).unwrap().logits);
    let (fused, plans) = (Suppression::FusedLoss, vec![vec![0.0, 1.0]]);
    let mut trainer = trainer(&student, student.params(), all_terms(), fused, plans, 1);
    let report = trainer.step(&student, &batch).unwrap();
    near(&report.logits);
    // The head terms are over the samples that have the modality.
    for (m, own) in [vec![0_i64, 1], vec![0, 2, 3]].into_iter().enumerate() {
        let index = Tensor::from_slice(&own);
        let teacher = Tiny::linear(2).teacher(m, WIDTH).0.output(m, &whole).unwrap();
        let select = |x: &Tensor| x.index_select(0, &index);
        let expected = softmax_kl(&select(&teacher.logits), &select(&heads[m]));
        let found = report.terms.head[m].as_ref().unwrap();
        assert_number(found.double_value(&[]), expected.double_value(&[]));
    }

    // A batch without m0: no head term, and no gradient in its encoder.
    student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
    let before = gradients(&student.vs);
    let batch = copy(&whole).with_present(0, [false; 4]);
    let report = trainer.step(&student, &batch).unwrap();
    assert!(report.terms.head[0].is_none() && report.terms.head[1].is_some());
    assert!(report.logits.allclose(&heads[1], 1e-12, 1e-12, false));
    let after = gradients(&student.vs);
    assert_same(&with_prefix(&before, "m0"), &with_prefix(&after, "m0"));
}

fn copy(batch: &Batch) -> Batch {
    let inputs: Vec<_> = batch.inputs().iter().map(Input::first).map(Tensor::copy).collect();
    let whole = Batch::new(inputs, batch.targets().copy());
    let flags = (0..2).filter_map(|m| Some((m, batch.present(m)?.to_vec())));
    flags.fold(whole, |batch, (m, flags)| batch.with_present(m, flags))
}
