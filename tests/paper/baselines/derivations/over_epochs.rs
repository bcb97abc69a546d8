//! Methods that keep a state from epoch to epoch.

use g2d::{
    Batch, Student,
    algorithm::Algorithm,
    paper::baselines::{
        BoostHead, InfoReg, InfoRegConfig, Pmr, PmrConfig, ReconBoost, ReconBoostConfig, StageLr,
    },
};
use tch::{Kind, Tensor};

use super::{
    K, assert_gradients, cross_entropy, derived, encode, fuse, gradients_of, head, true_class,
    value,
};
use crate::baselines::recorder::Recorder;
use crate::support::{
    CLASSES, Tiny, WIDTH, assert_close, assert_number, fill, values, with_prefix,
};

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
