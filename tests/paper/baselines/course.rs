//! Turns, stages, epochs and prediction rules.

use g2d::{
    Batch, G2dTrainer, Student,
    algorithm::{Algorithm, Ruled},
    evaluate,
    loss::{Classification, Distillation},
    optim::{Optimizer, SgdConfig},
    paper::baselines::{
        BoostHead, Mla, MlaConfig, MlaFusion, MlaProjection, Pmr, PmrConfig, ReconBoost,
        ReconBoostConfig, SharedHead,
    },
};
use tch::{Kind, Tensor};

use super::recorder::Recorder;
use crate::support::{CLASSES, Tiny, WIDTH, assert_close, assert_same, fill, values};

fn with_shared_head(k: usize) -> (Tiny, SharedHead) {
    let mut tiny = Tiny::conv(k);
    let head = SharedHead::new(tiny.vs.root() / "shared", WIDTH, CLASSES).unwrap();
    tiny.vs.double();
    fill(&tiny.vs, 0.3);
    (tiny, head)
}

/// The default projection.
fn mla_config() -> MlaConfig {
    MlaConfig { batches_per_epoch: Some(3), ..Default::default() }
}

fn cross_entropy(z: &Tensor, batch: &Batch) -> Tensor {
    z.cross_entropy_loss::<Tensor>(batch.targets(), None, tch::Reduction::Mean, -100, 0.0)
}

#[test]
fn modalities_of_mla_take_turns_on_a_head_that_moves_between_them() {
    for k in [2, 3] {
        for projection in [MlaProjection::AsRun, MlaProjection::Current, MlaProjection::Previous] {
            let (tiny, head) = with_shared_head(k);
            let config = MlaConfig { projection, batches_per_epoch: Some(4), ..Default::default() };
            let mut mla = Mla::new(&tiny, tiny.params(), head, config).unwrap();
            let (expected, own_head) = with_shared_head(k);
            let mut optimizer = Recorder::new(&tiny.vs, 0.1);
            let mut p = Tensor::eye(WIDTH, tch::kind::DOUBLE_CPU);
            let mut before: Option<Tensor> = None;
            for step in 0..2 {
                let batch = tiny.batch(6, step as f64);
                mla.step(&tiny, &batch, &mut optimizer).unwrap();

                let features: Vec<Tensor> =
                    (0..k).map(|m| expected.encode(m, &batch, true).unwrap()).collect();
                for (m, own) in features.iter().enumerate() {
                    let loss = cross_entropy(&own_head.forward(own).unwrap(), &batch);
                    let named: Vec<_> = expected.vs.variables().into_iter().collect();
                    let moves = |name: &String| {
                        name.starts_with(&format!("m{m}.")) || name.starts_with("shared")
                    };
                    let named: Vec<_> = named
                        .into_iter()
                        .filter(|(name, variable)| variable.requires_grad() && moves(name))
                        .collect();
                    let inputs: Vec<&Tensor> = named.iter().map(|(_, tensor)| tensor).collect();
                    let gradients = Tensor::run_backward(&[loss], &inputs, true, false);
                    let _no_grad = tch::no_grad_guard();
                    let mean = own.detach().mean_dim([0_i64].as_slice(), false, None);
                    let alpha = 0.1_f64.powf(step as f64 / 4.0 + 1.0);
                    let r = match projection {
                        MlaProjection::Previous => before.as_ref().unwrap_or(&mean),
                        _ => &mean,
                    };
                    let is_first = step == 0 && m == 0;
                    if !is_first && projection != MlaProjection::AsRun {
                        let pr = p.mv(r);
                        p = &p - pr.outer(&pr) / (r.dot(&pr) + alpha);
                    }
                    before = Some(mean);
                    for ((name, variable), gradient) in named.iter().zip(gradients) {
                        let is_projected = name == "shared.weight"
                            && projection != MlaProjection::AsRun
                            && !is_first;
                        let gradient = if is_projected { gradient.mm(&p) } else { gradient };
                        let mut variable = variable.shallow_clone();
                        let _ = variable.f_sub_(&(gradient * 0.1)).unwrap();
                    }
                }
            }
            let (found, expected) = (values(&tiny.vs), values(&expected.vs));
            for (name, expected) in &expected {
                assert!(
                    found[name].allclose(expected, 1e-10, 1e-13, false),
                    "{projection:?} {name}"
                );
            }
            assert_eq!(optimizer.updates.len(), 2 * k);
            assert_eq!(mla.progress().updates, 2 * k as u64);
            let others = optimizer.updates[0].keys().filter(|name| name.starts_with("m1"));
            assert_eq!(others.count(), 0, "the encoder of another turn has no gradient");
        }
    }
}

#[test]
fn the_prediction_of_mla_weighs_each_sample_by_entropy() {
    let (tiny, head) = with_shared_head(3);
    let mla = Mla::new(&tiny, tiny.params(), head, mla_config()).unwrap();
    let batch = tiny.batch(5, 0.2);
    let z: Vec<Tensor> = {
        let _no_grad = tch::no_grad_guard();
        let (weight, bias) = {
            let mut all = tiny.vs.variables();
            (all.remove("shared.weight").unwrap(), all.remove("shared.bias").unwrap())
        };
        let own = |m| tiny.encode(m, &batch, false).unwrap().linear(&weight, Some(&bias));
        (0..3).map(own).collect()
    };
    let entropies: Vec<Tensor> = z
        .iter()
        .map(|z| {
            let p = z.softmax(1, None);
            -(&p * p.log()).sum_dim_intlist(1, false, None)
        })
        .collect();
    let most = Tensor::stack(&entropies, 0).max_dim(0, false).0;
    let weights: Vec<Tensor> = entropies.iter().map(|e| (&most - e).exp()).collect();
    let sum: Tensor = weights.iter().sum();
    let expected: Tensor = z.iter().zip(&weights).map(|(z, w)| z * (w / &sum).unsqueeze(1)).sum();
    let found = evaluate(&Ruled::new(&mla, &tiny), [Ok(tiny.batch(5, 0.2))]).unwrap();
    assert_close(&found.logits, &expected);
    for (m, (_, own)) in found.heads.iter().enumerate() {
        assert_close(own, &z[m]);
    }
    // A prediction does not depend on the other samples of its batch; the authors' does.
    let half = |fusion: &MlaFusion| {
        let rows: Vec<Tensor> = z.iter().map(|z| z.narrow(0, 0, 2)).collect();
        let all = fusion.fuse(&z).unwrap().narrow(0, 0, 2);
        (&all - fusion.fuse(&rows).unwrap()).abs().max().double_value(&[])
    };
    assert!(half(&MlaFusion::Dynamic) < 1e-14);
    assert!(half(&MlaFusion::DynamicAsWritten) > 1e-8);
    let fixed = MlaFusion::Fixed(vec![0.35, 0.25, 0.4]).fuse(&z).unwrap();
    assert_close(&fixed, &(&z[0] * 0.35 + &z[1] * 0.25 + &z[2] * 0.4));
}

#[test]
fn a_modality_of_recon_boost_predicts_by_its_initial_head_before_its_first_turn() {
    let mut tiny = Tiny::conv(2);
    let names = tiny.modalities().to_vec();
    let head = BoostHead::new(tiny.vs.root() / "boost", WIDTH, 5, CLASSES).unwrap();
    let head = head.with_initial(tiny.vs.root() / "boost", &names, WIDTH, CLASSES).unwrap();
    tiny.vs.double();
    fill(&tiny.vs, 0.8);
    let config = ReconBoostConfig { phase_epochs: 1, ..Default::default() };
    let mut method = ReconBoost::new(&tiny, tiny.params(), head, config).unwrap();
    let variable = |name: &str| tiny.vs.variables().remove(&format!("boost.{name}")).unwrap();
    let before = values(&tiny.vs);
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    let check = |method: &ReconBoost, initial: [bool; 2]| {
        let batch = tiny.batch(4, 0.6);
        let found = evaluate(&Ruled::new(method, &tiny), [Ok(tiny.batch(4, 0.6))]).unwrap();
        let _no_grad = tch::no_grad_guard();
        let mut sum = Tensor::zeros_like(&found.logits);
        for (m, initial) in initial.into_iter().enumerate() {
            let own = tiny.encode(m, &batch, false).unwrap();
            let linear = |x: &Tensor, name: &str| {
                let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
                x.linear(&variable(&weight), Some(&variable(&bias)))
            };
            let z = match initial {
                true => linear(&own, &format!("fc_m{m}")),
                false => linear(&linear(&own, "head.fc1").relu(), "head.fc2"),
            };
            assert_close(&found.heads[m].1, &z);
            sum += z;
        }
        assert_close(&found.logits, &(sum * variable("boost_rate")));
    };
    check(&method, [true, true]);
    for stage in 0..2 {
        for _phase in 0..2 {
            method.step(&tiny, &tiny.batch(6, stage as f64), &mut optimizer).unwrap();
            method.end_epoch().unwrap();
        }
        check(&method, [false, stage == 0]);
    }
    let after = values(&tiny.vs);
    for name in before.keys().filter(|name| name.contains("fc_m")) {
        assert!(after[name].equal(&before[name]), "{name} is not trained");
    }
    assert!(optimizer.factors.iter().all(|(_, factor)| *factor == 1.0));
    assert_eq!(optimizer.factors.len(), 4);
}

#[test]
fn prototypes_move_with_momentum_from_the_third_epoch_on() {
    let tiny = Tiny::conv(2);
    let config = PmrConfig { momentum: 0.25, ..PmrConfig::default() };
    let mut pmr = Pmr::new(&tiny, tiny.params(), config).unwrap();
    let mut optimizer = Recorder::new(&tiny.vs, 0.5);
    let mut old: Option<Tensor> = None;
    for epoch in 0..4 {
        let fresh = {
            let mut other = Pmr::new(&tiny, tiny.params(), config).unwrap();
            other.begin_epoch(&tiny, &mut [Ok(tiny.batch(6, 0.3))].into_iter()).unwrap();
            other.prototypes(0).unwrap().copy()
        };
        pmr.begin_epoch(&tiny, &mut [Ok(tiny.batch(6, 0.3))].into_iter()).unwrap();
        let found = pmr.prototypes(0).unwrap().copy();
        let expected = match &old {
            Some(old) if epoch > 1 => &fresh * 0.75 + old * 0.25,
            _ => fresh,
        };
        assert_close(&found, &expected);
        // A second call in the same epoch changes nothing.
        pmr.begin_epoch(&tiny, &mut std::iter::empty()).unwrap();
        assert!(pmr.prototypes(0).unwrap().equal(&found));
        old = Some(found);
        pmr.step(&tiny, &tiny.batch(6, 0.1), &mut optimizer).unwrap();
        pmr.end_epoch().unwrap();
    }
}

#[test]
fn a_class_without_samples_has_no_prototype_and_causes_no_nan() {
    let tiny = Tiny::conv(2);
    let mut pmr = Pmr::new(&tiny, tiny.params(), PmrConfig::default()).unwrap();
    let labelled = |labels: &[i64]| {
        let batch = tiny.batch(labels.len() as i64, 0.3);
        let inputs = (0..2).map(|m| batch.input(m).shallow_clone()).collect::<Vec<_>>();
        Batch::new(inputs, Tensor::from_slice(labels))
    };
    pmr.begin_epoch(&tiny, &mut [Ok(labelled(&[0, 0, 2, 2]))].into_iter()).unwrap();
    assert_eq!(pmr.prototypes(0).unwrap().get(1).abs().max().double_value(&[]), 0.0);
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    // Some, then all samples of the batch are of the class without a prototype.
    for labels in [[0, 1, 2, 1], [1, 1, 1, 1]] {
        let report = pmr.step(&tiny, &labelled(&labels), &mut optimizer).unwrap();
        let total = report.read().unwrap().terms.total;
        assert!(total.is_finite());
        let finite = |g: &Tensor| g.isfinite().all().int64_value(&[]) == 1;
        assert!(optimizer.updates.last().unwrap().values().all(finite));
    }
    assert_eq!(optimizer.updates.len(), 2);
}

#[test]
fn a_feature_on_its_prototype_has_a_finite_gradient() {
    let tiny = Tiny::linear(2);
    let mut pmr = Pmr::new(&tiny, tiny.params(), PmrConfig::default()).unwrap();
    // One sample per class: in a network without batch norm its feature is the prototype.
    pmr.begin_epoch(&tiny, &mut [Ok(tiny.batch(3, 0.3))].into_iter()).unwrap();
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    pmr.step(&tiny, &tiny.batch(3, 0.3), &mut optimizer).unwrap();
    let finite = |g: &Tensor| g.isfinite().all().int64_value(&[]) == 1;
    assert!(optimizer.updates[0].values().all(finite));
}

#[test]
fn outside_its_window_pmr_trains_on_the_task_alone() {
    let step = |window: std::ops::RangeInclusive<u64>| {
        let tiny = Tiny::conv(2);
        let config = PmrConfig { window: window.into(), alpha: 3.0, ..Default::default() };
        let mut pmr = Pmr::new(&tiny, tiny.params(), config).unwrap();
        pmr.begin_epoch(&tiny, &mut [Ok(tiny.batch(6, 0.3))].into_iter()).unwrap();
        let mut optimizer = Recorder::new(&tiny.vs, 0.1);
        let report = pmr.step(&tiny, &tiny.batch(6, 0.1), &mut optimizer).unwrap();
        let terms = report.read().unwrap().terms;
        terms.total - terms.task
    };
    assert_eq!(step(1..=3), 0.0);
    assert!(step(0..=0) > 0.0);
}

#[test]
fn a_trainer_as_an_algorithm_does_what_step_and_update_do() {
    let train = |as_algorithm: bool| {
        let tiny = Tiny::conv(2);
        let loss = Classification::new(Distillation::none());
        let mut trainer: G2dTrainer = tiny.builder(loss).accumulate(2).build(&tiny).unwrap();
        let sgd = SgdConfig { lr: 0.1, momentum: 0.9, ..Default::default() };
        let mut optimizer = Optimizer::builder(&tiny.vs, sgd).build().unwrap();
        for step in 0..3 {
            let batch = tiny.batch(6, step as f64);
            if as_algorithm {
                Algorithm::step(&mut trainer, &tiny, &batch, &mut optimizer).unwrap();
            } else {
                trainer.step(&tiny, &batch).unwrap();
                trainer.update(&mut optimizer).unwrap();
            }
        }
        match as_algorithm {
            true => Algorithm::finish_update(&mut trainer, &mut optimizer).unwrap(),
            false => drop(trainer.finish_update(&mut optimizer).unwrap()),
        }
        assert_eq!(trainer.progress().updates, 2);
        values(&tiny.vs)
    };
    assert_same(&train(true), &train(false));
}

#[test]
fn an_epoch_reports_means_and_begins_the_next_one() {
    let (tiny, head) = with_shared_head(2);
    let mut mla = Mla::new(&tiny, tiny.params(), head, mla_config()).unwrap();
    let mut optimizer = Recorder::new(&tiny.vs, 0.1);
    let mut losses = Vec::new();
    for step in 0..3 {
        let report = mla.step(&tiny, &tiny.batch(6, step as f64), &mut optimizer).unwrap();
        losses.push(f64::try_from(report.terms.total.to_kind(Kind::Double)).unwrap());
    }
    let epoch = mla.end_epoch().unwrap();
    assert_eq!((epoch.epoch, epoch.steps), (0, 3));
    assert!((epoch.terms.total - losses.iter().sum::<f64>() / 3.0).abs() < 1e-12);
    let at = mla.progress();
    assert_eq!((at.epoch, at.step, at.total_steps), (1, 0, 3));
}
