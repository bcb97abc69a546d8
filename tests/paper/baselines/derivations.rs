//! The gradients of one step of every method, for two and three modalities, against a derivation in plain
//! tch: forward passes by hand, gradients by `run_backward` of one term at a time.

use g2d::{
    Batch, Features, Student,
    algorithm::Algorithm,
    paper::baselines::{
        Agm, AgmClip, AgmConfig, BoostHead, Dgl, DglConfig, GBlending, GBlendingConfig, InfoReg,
        InfoRegConfig, Lfm, LfmConfig, LfmWeight, MmPareto, MmParetoConfig, Opm, OpmConfig, Pmr,
        PmrConfig, ReconBoost, ReconBoostConfig, StageLr,
    },
};
use tch::{Kind, Tensor, nn::VarStore};

use super::recorder::Recorder;
use crate::support::{
    CLASSES, Snapshot, Tiny, WIDTH, assert_close, assert_number, fill, values, with_prefix,
};

const K: [usize; 2] = [2, 3];

fn cross_entropy(z: &Tensor, batch: &Batch) -> Tensor {
    let log = z.log_softmax(1, None);
    -log.gather(1, &batch.targets().unsqueeze(1), false).mean(Kind::Double)
}

fn true_class(z: &Tensor, batch: &Batch) -> Tensor {
    z.softmax(1, None).gather(1, &batch.targets().unsqueeze(1), false).squeeze_dim(1)
}

/// The gradients of `loss` by all parameters of `vs`, zeros where it does not depend on one.
fn gradients_of(loss: &Tensor, vs: &VarStore) -> Snapshot {
    let named: Vec<_> =
        vs.variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect();
    let inputs: Vec<&Tensor> = named.iter().map(|(_, variable)| variable).collect();
    let found = Tensor::run_backward(&[loss], &inputs, true, false);
    let or_zeros = |((name, variable), found): (&(String, Tensor), Tensor)| {
        let gradient = if found.defined() { found } else { variable.zeros_like() };
        (name.clone(), gradient.detach())
    };
    named.iter().zip(found).map(or_zeros).collect()
}

fn fuse(student: &dyn Student, features: &[Tensor], batch: &Batch, train: bool) -> Tensor {
    student.fuse(&Features::new(features, batch).unwrap(), train).unwrap()
}

fn head(student: &dyn Student, m: usize, features: &[Tensor], batch: &Batch) -> Tensor {
    student.unimodal_logits(m, &Features::new(features, batch).unwrap()).unwrap().unwrap()
}

fn encode(student: &dyn Student, batch: &Batch, train: bool) -> Vec<Tensor> {
    let k = student.modalities().len();
    (0..k).map(|m| student.encode(m, batch, train).unwrap()).collect()
}

/// Runs `derive` with the buffers of `vs` restored after it, since forward passes in training mode move
/// running statistics.
fn derived<T>(vs: &VarStore, derive: impl FnOnce() -> T) -> T {
    let before = values(vs);
    let found = derive();
    let _no_grad = tch::no_grad_guard();
    for (name, mut variable) in vs.variables() {
        if !variable.requires_grad() {
            variable.copy_(&before[&name]);
        }
    }
    found
}

/// Asserts that an update's gradients are `expected`; an undefined one is zero.
#[track_caller]
fn assert_gradients(found: &Snapshot, expected: &Snapshot) {
    for (name, expected) in expected {
        match found.get(name) {
            Some(found) => assert!(
                found.allclose(expected, 1e-10, 1e-13, false),
                "{name}: {found:?} against {expected:?}"
            ),
            None => assert!(expected.abs().max().double_value(&[]) == 0.0, "{name}"),
        }
    }
}

fn scaled(gradients: &Snapshot, factor: f64) -> Snapshot {
    gradients.iter().map(|(name, gradient)| (name.clone(), gradient * factor)).collect()
}

fn norm(gradients: &Snapshot) -> f64 {
    gradients.values().map(|g| g.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
}

fn value(report: &g2d::StepReport, name: &str, m: impl Into<Option<usize>>) -> f64 {
    let modality = m.into().map(|m| format!("m{m}"));
    let own = report.details.iter().find(|detail| {
        detail.name == name && detail.modality.as_ref().map(|m| m.to_string()) == modality
    });
    own.unwrap_or_else(|| panic!("no {name:?}")).value.double_value(&[])
}

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

/// κ_m and the gradients of Σ κ_m ⟨∂CE/∂z, φ_m⟩ for scores S, derived from marginal gains in all orders of
/// the modalities.
fn agm(tiny: &Tiny, batch: &Batch, running: &[f64], alpha: f64) -> (Vec<f64>, Vec<f64>, Snapshot) {
    let k = running.len();
    let full = fuse(tiny, &encode(tiny, batch, true), batch, true);
    let z = |set: &[usize]| {
        if set.is_empty() {
            return full.zeros_like();
        }
        if set.len() == k {
            return full.shallow_clone();
        }
        let inputs = (0..k).map(|m| match set.contains(&m) {
            true => batch.input(m).shallow_clone(),
            false => batch.input(m).zeros_like(),
        });
        let masked = Batch::new(inputs.collect::<Vec<_>>(), batch.targets().shallow_clone());
        fuse(tiny, &encode(tiny, &masked, false), &masked, false)
    };
    let orders: Vec<Vec<usize>> = match k {
        2 => vec![vec![0, 1], vec![1, 0]],
        _ => vec![
            vec![0, 1, 2],
            vec![0, 2, 1],
            vec![1, 0, 2],
            vec![1, 2, 0],
            vec![2, 0, 1],
            vec![2, 1, 0],
        ],
    };
    let phi: Vec<Tensor> = (0..k)
        .map(|m| {
            let gains = orders.iter().map(|order| {
                let at = order.iter().position(|&o| o == m).unwrap();
                z(&order[..=at]) - z(&order[..at])
            });
            gains.sum::<Tensor>() / orders.len() as f64
        })
        .collect();
    let scores: Vec<f64> = phi
        .iter()
        .map(|phi| -true_class(phi, batch).log().mean(Kind::Double).double_value(&[]))
        .collect();
    let ratio = |scores: &[f64], m: usize| {
        let others: f64 = scores.iter().enumerate().filter(|(o, _)| *o != m).map(|(_, s)| s).sum();
        // k/(k−1) (s̄ − s_m) is the mean of the others' scores minus s_m.
        (others / (k - 1) as f64 - scores[m]).exp()
    };
    let kappa: Vec<f64> =
        (0..k).map(|m| (alpha * (ratio(running, m) - ratio(&scores, m))).exp()).collect();
    let total: Tensor = phi.iter().sum();
    let rows = total.size()[0] as f64;
    let one_hot = batch.targets().one_hot(CLASSES).to_kind(Kind::Double);
    let by_logits = (total.softmax(1, None) - one_hot).detach() / rows;
    let surrogate: Tensor =
        phi.iter().zip(&kappa).map(|(phi, kappa)| (&by_logits * phi * *kappa).sum(None)).sum();
    (kappa, scores, gradients_of(&surrogate, &tiny.vs))
}

#[test]
fn agm_scales_the_gradient_through_each_modalitys_share_of_the_logits() {
    for k in K {
        let tiny = Tiny::conv(k);
        let config = AgmConfig { alpha: 1.5, ..AgmConfig::default() };
        let mut method = Agm::new(&tiny, tiny.params(), config).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.5);
        let mut running = vec![0.0; k];
        for step in 0..3 {
            let batch = tiny.batch(6, 0.1 + step as f64);
            let (kappa, scores, expected) = derived(&tiny.vs, || agm(&tiny, &batch, &running, 1.5));
            let report = method.step(&tiny, &batch, &mut optimizer).unwrap();
            assert_gradients(&optimizer.updates[step], &expected);
            let found = report.kappa();
            found.iter().zip(&kappa).for_each(|(found, kappa)| assert_number(*found, *kappa));
            let n = step as f64;
            running.iter_mut().zip(&scores).for_each(|(s, new)| *s = (*s * n + new) / (n + 1.0));
        }
    }
}

#[test]
fn agm_clips_only_where_an_entry_of_the_named_gradients_is_too_large() {
    for (threshold, clips) in [(1e-6, true), (1e6, false)] {
        let tiny = Tiny::conv(2);
        let parameters = vec!["head.weight".to_owned()];
        let clip = Some(AgmClip { parameters, threshold, norm: 1e-3 });
        let config = AgmConfig { clip, ..AgmConfig::default() };
        let mut method = Agm::new(&tiny, tiny.params(), config).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        method.step(&tiny, &tiny.batch(6, 0.1), &mut optimizer).unwrap();
        let found = norm(&optimizer.updates[0]);
        assert_eq!(found <= 1e-3, clips, "{found}");
    }
}

#[test]
fn pmr_draws_the_weaker_modality_to_its_prototypes() {
    let tiny = Tiny::conv(2);
    let mut method = Pmr::new(&tiny, tiny.params(), PmrConfig { alpha: 2.0, ..Default::default() });
    let method = method.as_mut().unwrap();
    let seen = [tiny.batch(6, 0.4), tiny.batch(9, 0.9)];
    let prototypes: Vec<Tensor> = (0..2)
        .map(|m| {
            let each = seen.iter().map(|b| tiny.encode(m, b, false).unwrap());
            let features = Tensor::cat(&each.collect::<Vec<_>>(), 0);
            let labels = seen.iter().map(|b| b.targets().shallow_clone()).collect::<Vec<_>>();
            let labels = Tensor::cat(&labels, 0);
            let mean = |j: i64| {
                let rows = labels.eq(j).nonzero().squeeze_dim(1);
                features.index_select(0, &rows).mean_dim([0_i64].as_slice(), false, None)
            };
            Tensor::stack(&(0..CLASSES).map(mean).collect::<Vec<_>>(), 0).detach()
        })
        .collect();
    method.begin_epoch(&tiny, &mut seen.into_iter().map(Ok)).unwrap();
    for (m, expected) in prototypes.iter().enumerate() {
        assert_close(method.prototypes(m).unwrap(), expected);
    }
    let batch = tiny.batch(6, 0.1);
    let (expected, scores) = derived(&tiny.vs, || {
        let features = encode(&tiny, &batch, true);
        let similarity: Vec<Tensor> = features
            .iter()
            .zip(&prototypes)
            .map(|(f, c)| {
                -(f.unsqueeze(1) - c.unsqueeze(0)).square().sum_dim_intlist(2, false, None).sqrt()
            })
            .collect();
        let score = |z: &Tensor| true_class(z, &batch).sum(Kind::Double).double_value(&[]);
        let scores = [score(&similarity[0]), score(&similarity[1])];
        let weaker = if scores[0] < scores[1] { 0 } else { 1 };
        let task = cross_entropy(&fuse(&tiny, &features, &batch, true), &batch);
        let total = task + cross_entropy(&similarity[weaker], &batch) * 2.0;
        (gradients_of(&total, &tiny.vs), scores)
    });
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    let report = method.step(&tiny, &batch, &mut optimizer).unwrap();
    assert_gradients(&optimizer.updates[0], &expected);
    for m in 0..2 {
        assert_number(value(&report, "score", m), scores[m]);
        let expected = if scores[m] < scores[1 - m] { 2.0 } else { 0.0 };
        assert_eq!(value(&report, "coefficient", m), expected);
    }
}

#[test]
fn recon_boost_boosts_one_modality_and_then_trains_all() {
    for k in K {
        let mut tiny = Tiny::conv(k);
        let boost = BoostHead::new(tiny.vs.root() / "boost", WIDTH, 5, CLASSES).unwrap();
        tiny.vs.double();
        fill(&tiny.vs, 0.8);
        let shared = |name: &str| tiny.vs.variables().remove(&format!("boost.{name}")).unwrap();
        let z = |m: usize, batch: &Batch| {
            let hidden = tiny.encode(m, batch, true).unwrap();
            let hidden = hidden.linear(&shared("head.fc1.weight"), Some(&shared("head.fc1.bias")));
            hidden.relu().linear(&shared("head.fc2.weight"), Some(&shared("head.fc2.bias")))
        };
        let rate = || shared("boost_rate");
        let config = ReconBoostConfig { phase_epochs: 1, alpha: 0.0, ..Default::default() };
        let mut method = ReconBoost::new(&tiny, tiny.params(), boost, config).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        for epoch in 0..2 * k {
            let batch = tiny.batch(6, epoch as f64);
            let (stage, m) = (epoch / 2, epoch / 2 % k);
            let mut expected = derived(&tiny.vs, || {
                let loss = if epoch % 2 == 0 {
                    let others: Tensor =
                        (0..k).filter(|&o| o != m).map(|o| z(o, &batch)).sum::<Tensor>() * rate();
                    let q = true_class(&others.detach(), &batch);
                    let q = if stage == 0 { q.ones_like() } else { q };
                    let log = true_class(&z(m, &batch), &batch).log();
                    Tensor::mean(&((5.0 - q) * log), Kind::Double) * (-1.0 / CLASSES as f64)
                } else {
                    let sum: Tensor = (0..k).map(|o| z(o, &batch)).sum();
                    cross_entropy(&(sum * rate()), &batch)
                };
                gradients_of(&loss, &tiny.vs)
            });
            if epoch % 2 == 0 {
                // Others' encoders and b have no gradient.
                expected.retain(|name, _| {
                    name.starts_with(&format!("m{m}.")) || name.starts_with("boost.head")
                });
            }
            method.step(&tiny, &batch, &mut optimizer).unwrap();
            method.end_epoch().unwrap();
            let found = optimizer.updates.last().unwrap();
            assert_gradients(found, &expected);
            if epoch % 2 == 0 {
                assert!(found.keys().eq(expected.keys()), "{:?}", found.keys());
            }
        }
        let starts: Vec<usize> = (0..2 * k).collect();
        assert_eq!(optimizer.restarts, starts, "every phase restarts the optimizer");
    }
}

#[test]
fn the_learning_rate_of_recon_boost_follows_its_rule() {
    let rule = StageLr::Every { stages: 30, factor: 0.1 };
    assert_eq!([0, 29, 30, 59].map(|stage| rule.factor(stage)), [1.0, 1.0, 0.1, 0.1]);
    let once = StageLr::Once { stage: 40, factor: 0.5 };
    assert_eq!([0, 39, 40, 99].map(|stage| once.factor(stage)), [1.0, 1.0, 0.5, 0.5]);
    assert_eq!(StageLr::Constant.factor(1000), 1.0);
}

#[test]
fn info_reg_pulls_the_stronger_encoder_to_the_start_of_the_epoch() {
    let tiny = Tiny::conv(2);
    let config = InfoRegConfig { beta: [0.7, 0.4], ..Default::default() };
    let mut method = InfoReg::new(&tiny, tiny.params(), config).unwrap();
    let mut optimizer = Recorder::new(&tiny.vs, 0.5);
    let start = values(&tiny.vs);
    let mut squares = [0.0; 2];
    for step in 0..3 {
        let batch = tiny.batch(6, step as f64);
        let (mut expected, scores) = derived(&tiny.vs, || {
            let features = encode(&tiny, &batch, true);
            let own: Vec<_> = (0..2).map(|m| head(&tiny, m, &features, &batch)).collect();
            let total = cross_entropy(&fuse(&tiny, &features, &batch, true), &batch)
                + own.iter().map(|z| cross_entropy(z, &batch)).sum::<Tensor>();
            let score = |z: &Tensor| true_class(z, &batch).sum(Kind::Double).double_value(&[]);
            (gradients_of(&total, &tiny.vs), [score(&own[0]), score(&own[1])])
        });
        let m = if scores[0] > scores[1] { 0 } else { 1 };
        let beta = config.beta[m] * (scores[m] - scores[1 - m]).tanh().exp();
        for (name, now) in with_prefix(&values(&tiny.vs), &format!("m{m}")) {
            if let Some(gradient) = expected.get(&name) {
                let pulled = gradient + (now - &start[&name]) * beta;
                expected.insert(name, pulled);
            }
        }
        let report = method.step(&tiny, &batch, &mut optimizer).unwrap();
        assert_gradients(&optimizer.updates[step], &expected);
        assert_number(value(&report, "beta", m), beta);
        for (m, sum) in squares.iter_mut().enumerate() {
            let own = with_prefix(&expected, &format!("m{m}"));
            let conv = own.values().filter(|gradient| gradient.dim() == 4);
            *sum += conv.map(|g| g.square().mean(Kind::Double).double_value(&[])).sum::<f64>();
        }
    }
    method.end_epoch().unwrap();
    let found = method.traces()[0];
    found.iter().zip(squares).for_each(|(found, expected)| assert_number(*found, expected));
}

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
