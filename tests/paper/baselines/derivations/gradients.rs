//! Methods that change gradients.

use g2d::{
    Batch, Features, Student,
    algorithm::Algorithm,
    paper::baselines::{Dgl, DglConfig, MmPareto, MmParetoConfig},
};
use tch::Tensor;

use super::{
    K, assert_gradients, cross_entropy, derived, encode, fuse, gradients_of, head, norm, scaled,
    value,
};
use crate::baselines::recorder::Recorder;
use crate::support::{CLASSES, Snapshot, Tiny, WIDTH, assert_number, fill, with_prefix};

#[test]
fn dgl_trains_encoders_by_their_own_losses_and_the_fusion_by_the_fused_loss() {
    for k in K {
        for clip_norm in [None, Some(0.05)] {
            let tiny = Tiny::conv(k);
            let batch = tiny.batch(6, 0.1);
            let (own, fused) = derived(&tiny.vs, || {
                let features = encode(&tiny, &batch, true);
                let masked = (0..k).map(|m| {
                    let zeros = |j: usize| features[j].zeros_like();
                    let only =
                        |j: usize| if j == m { features[j].shallow_clone() } else { zeros(j) };
                    fuse(&tiny, &(0..k).map(only).collect::<Vec<_>>(), &batch, true)
                });
                let own: Tensor = masked.map(|z| cross_entropy(&z, &batch)).sum();
                let fused = cross_entropy(&fuse(&tiny, &features, &batch, true), &batch);
                (gradients_of(&(own * 2.5), &tiny.vs), gradients_of(&fused, &tiny.vs))
            });
            let mut expected = own;
            expected.extend(with_prefix(&fused, "head"));
            let total = norm(&expected);
            if let Some(clip) = clip_norm {
                assert!(total > clip);
                expected = scaled(&expected, clip / (total + 1e-6));
            }

            let config = DglConfig { alpha: 2.5, clip_norm };
            let mut dgl = Dgl::new(&tiny, tiny.params(), config).unwrap();
            let mut optimizer = Recorder::new(&tiny.vs, 0.1);
            let report = dgl.step(&tiny, &batch, &mut optimizer).unwrap();
            assert_gradients(&optimizer.updates[0], &expected);
            assert_number(value(&report, "gradient_norm", None), total);
        }
    }
}

#[test]
fn mmpareto_mixes_the_gradients_of_each_encoder_at_the_point_of_least_norm() {
    let mut conflicts = 0;
    for (k, seed) in [(2, 0.1), (3, 0.7), (3, 1.9)] {
        let mut tiny = Tiny::conv(k);
        let root = tiny.vs.root();
        let heads: Vec<_> = (0..k)
            .map(|m| {
                let path = &root / "own" / format!("m{m}");
                tch::nn::linear(path, WIDTH, CLASSES, Default::default())
            })
            .collect();
        tiny.vs.double();
        fill(&tiny.vs, 0.3 + seed);
        let (student, batch) = (Headed { tiny: &tiny, heads: &heads }, tiny.batch(6, seed));
        let (joint, own) = derived(&tiny.vs, || {
            let features = encode(&student, &batch, true);
            let joint = cross_entropy(&fuse(&student, &features, &batch, true), &batch);
            let own = (0..k).map(|m| {
                let loss = cross_entropy(&head(&student, m, &features, &batch), &batch);
                gradients_of(&loss, &tiny.vs)
            });
            (gradients_of(&joint, &tiny.vs), own.collect::<Vec<_>>())
        });
        let mut expected = joint.iter().map(|(n, g)| (n.clone(), g.copy())).collect::<Snapshot>();
        for (m, own) in own.iter().enumerate() {
            for (name, h) in own {
                if !name.starts_with(&format!("m{m}.")) {
                    let sum = &expected[name] + h;
                    expected.insert(name.clone(), sum);
                }
            }
            let prefix = format!("m{m}");
            let flat = |gradients: &Snapshot| {
                let own = with_prefix(gradients, &prefix);
                Tensor::cat(&own.values().map(|g| g.reshape(-1)).collect::<Vec<_>>(), 0)
            };
            let (g, h) = (flat(&joint), flat(own));
            let dot = g.dot(&h).double_value(&[]);
            let [gg, hh] = [&g, &h].map(|v| v.dot(v).double_value(&[]));
            let a = if dot > 0.0 { 0.5 } else { (hh - dot) / (gg + hh - 2.0 * dot) };
            conflicts += usize::from(dot <= 0.0);
            for (name, h) in with_prefix(own, &prefix) {
                let g = &joint[&name];
                let mixed = g * (2.0 * a) + &h * (2.0 * (1.0 - a));
                let scale = (g + &h).norm() / mixed.norm();
                let scale = scale.double_value(&[]).max(1.0);
                expected.insert(name, mixed * (scale * 1.25));
            }
        }

        let config = MmParetoConfig { gamma: 1.25 };
        let mut method = MmPareto::new(&student, tiny.params(), config).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        method.step(&student, &batch, &mut optimizer).unwrap();
        assert_gradients(&optimizer.updates[0], &expected);
    }
    assert!(conflicts > 0, "no case has conflicting gradients");
}

/// A tiny student with heads beside its fusion.
struct Headed<'a> {
    tiny: &'a Tiny,
    heads: &'a [tch::nn::Linear],
}

impl Student for Headed<'_> {
    fn modalities(&self) -> &[g2d::Modality] {
        self.tiny.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> g2d::Result<Tensor> {
        self.tiny.encode(m, batch, train)
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> g2d::Result<Tensor> {
        self.tiny.fuse(features, train)
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> g2d::Result<Option<Tensor>> {
        Ok(Some(features[m].apply(&self.heads[m])))
    }
}
