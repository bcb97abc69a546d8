//! Methods that change the loss or the features.

use g2d::{
    algorithm::Algorithm,
    paper::baselines::{GBlending, GBlendingConfig, Lfm, LfmConfig, LfmWeight, Opm, OpmConfig},
};
use tch::{Kind, Tensor};

use super::{
    K, assert_gradients, cross_entropy, derived, encode, fuse, gradients_of, head, true_class,
    value,
};
use crate::baselines::recorder::Recorder;
use crate::support::{Tiny, assert_number};

#[test]
fn lfm_aligns_predictions_with_their_mean() {
    for k in K {
        let tiny = Tiny::conv(k);
        let batch = tiny.batch(6, 0.1);
        let mut method = Lfm::new(&tiny, tiny.params(), LfmConfig::default()).unwrap();
        let alpha = LfmWeight::fitted(0);
        assert_number(alpha, 0.795376296);
        let expected = derived(&tiny.vs, || {
            let features = encode(&tiny, &batch, true);
            let p: Vec<_> =
                (0..k).map(|m| head(&tiny, m, &features, &batch).softmax(1, None)).collect();
            let mean = p.iter().sum::<Tensor>() / k as f64;
            let kl = |p: &Tensor| (&mean * (mean.log() - p.log())).sum(None) / 6.0;
            let alignment = p.iter().map(kl).sum::<Tensor>() / k as f64;
            let task = cross_entropy(&fuse(&tiny, &features, &batch, true), &batch);
            gradients_of(&((task * (1.0 - alpha) + alignment * alpha) * 2.0), &tiny.vs)
        });
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        method.step(&tiny, &batch, &mut optimizer).unwrap();
        assert_gradients(&optimizer.updates[0], &expected);
    }
}

#[test]
fn opm_drops_features_of_the_stronger_modality_alone() {
    let tiny = Tiny::conv(2);
    let batch = tiny.batch(6, 0.1);
    let config = OpmConfig { first_epoch: 0, probability: 1.0, ..Default::default() };
    // The first half of the samples of each modality are dropped if q > 0.1.
    let numbers = |_step: u64, n: usize| -> Vec<f64> {
        (0..n)
            .map(|i| {
                if i == n - 1 {
                    0.0
                } else if i % 6 < 3 {
                    0.9
                } else {
                    0.0
                }
            })
            .collect()
    };
    let (expected, q) = derived(&tiny.vs, || {
        let features = encode(&tiny, &batch, true);
        let score = |m| {
            let z = head(&tiny, m, &features, &batch);
            true_class(&z, &batch).sum(Kind::Double).double_value(&[])
        };
        let s = [score(0), score(1)];
        let m = if s[0] > s[1] { 0 } else { 1 };
        let q = 0.5 * (1.0 + 0.5 * (s[m] / s[1 - m] - 1.0).tanh());
        let keep = Tensor::from_slice(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).unsqueeze(1);
        let mut dropped: Vec<Tensor> = features.iter().map(|f| f / (1.0 - q / 2.0)).collect();
        dropped[m] = &dropped[m] * keep;
        let loss = cross_entropy(&fuse(&tiny, &dropped, &batch, true), &batch);
        (gradients_of(&loss, &tiny.vs), (m, q))
    });
    let mut method = Opm::new(&tiny, tiny.params(), config).unwrap().with_uniforms(numbers);
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    let report = method.step(&tiny, &batch, &mut optimizer).unwrap();
    assert_gradients(&optimizer.updates[0], &expected);
    assert_number(value(&report, "q", q.0), q.1);
    assert_eq!(value(&report, "q", 1 - q.0), 0.0);
}

#[test]
fn g_blending_weighs_the_losses_of_all_heads() {
    for k in K {
        let tiny = Tiny::conv(k);
        let batch = tiny.batch(6, 0.1);
        let unimodal: Vec<f64> = (0..k).map(|m| 0.5 + m as f64).collect();
        let expected = derived(&tiny.vs, || {
            let features = encode(&tiny, &batch, true);
            let fused = cross_entropy(&fuse(&tiny, &features, &batch, true), &batch) * 0.25;
            let own = unimodal.iter().enumerate().map(|(m, weight)| {
                cross_entropy(&head(&tiny, m, &features, &batch), &batch) * *weight
            });
            gradients_of(&(fused + own.sum::<Tensor>()), &tiny.vs)
        });
        let config = GBlendingConfig { joint: 0.25, unimodal };
        let mut method = GBlending::new(&tiny, tiny.params(), config).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        method.step(&tiny, &batch, &mut optimizer).unwrap();
        assert_gradients(&optimizer.updates[0], &expected);
    }
}
