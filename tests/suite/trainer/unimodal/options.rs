//! The options of a teacher's steps.

use g2d::{
    Batch,
    batch::Input,
    loss::Classification,
    optim::{LrSchedule, Optimizer, ParameterInfo, SgdConfig},
    trainer::{LossScaling, NonFinite, Precision, UnimodalTrainer},
};
use tch::{Device, Kind, Tensor, nn};

use super::{SGD, batch, batches, cross_entropy, difference, model, trainer, val};
use crate::support::{assert_error, labels, select_rows, values, wave};

/// Parameters without momentum, so that an update is a function of its gradient.
const PLAIN: SgdConfig = SgdConfig { momentum: 0.0, ..SGD };

fn plain<'a>() -> UnimodalTrainer<'a> {
    UnimodalTrainer::new("video", 1, Classification::default(), PLAIN)
}

/// The batches of an epoch in parts of two rows.
fn micro_batches(epoch: u64) -> Vec<g2d::Result<Batch>> {
    let parts = |whole: g2d::Result<Batch>| {
        let whole = whole.unwrap();
        (0..3).map(move |i| Ok(select_rows(&whole, &[2 * i, 2 * i + 1])))
    };
    batches(epoch).into_iter().flat_map(parts).collect()
}

#[test]
fn accumulated_batches_equal_one_large_batch() {
    let (large, net) = model(3);
    trainer().epochs(2).train(&net, &large, batches, val).unwrap();
    let (small, net) = model(3);
    trainer().epochs(2).accumulate(3).train(&net, &small, micro_batches, val).unwrap();
    assert!(difference(&values(&large), &values(&small)) < 1e-12);
}

/// A window of an epoch's last batches is an update, too.
#[test]
fn a_last_shorter_window_is_complete() {
    let (whole, net) = model(3);
    let both = |_| {
        let [a, b] = [batch(0.0, 6), batch(9.0, 6)];
        let join = |x: &Tensor, y: &Tensor| Tensor::cat(&[x.shallow_clone(), y.shallow_clone()], 0);
        let inputs = [0, 1].map(|m| join(a.input(m), b.input(m)));
        vec![Ok(Batch::new(inputs, join(a.targets(), b.targets())))]
    };
    plain().epochs(1).train(&net, &whole, both, val).unwrap();
    let (parts, net) = model(3);
    let parts_of = |_| vec![Ok(batch(0.0, 6)), Ok(batch(9.0, 6))];
    plain().epochs(1).accumulate(5).train(&net, &parts, parts_of, val).unwrap();
    assert!(difference(&values(&whole), &values(&parts)) < 1e-12);
}

/// By hand, with the trainer's own optimizer.
#[test]
fn clipping_groups_and_a_schedule_per_update_equal_a_plain_loop() {
    let schedule = LrSchedule::polynomial(8, 1.0);
    let head = SgdConfig { lr: 0.05, ..SGD };
    let configure = |builder: g2d::optim::Builder| {
        builder.group("head", head).no_decay(ParameterInfo::is_bias_or_norm)
    };
    let (theirs, net) = model(3);
    let mut optimizer = configure(Optimizer::builder(&theirs, SGD)).build().unwrap();
    let mut update = 0;
    for epoch in 0..2 {
        for batch in batches(epoch) {
            let batch = batch.unwrap();
            optimizer.zero_grad().unwrap();
            cross_entropy(&net(&batch.inputs()[1], true).1, batch.targets()).backward();
            optimizer.clip_grad_norm(0.1).unwrap();
            let epochs = LrSchedule::step(1, 0.5).factor(epoch);
            optimizer.set_lr_factor(epochs * schedule.factor(update)).unwrap();
            optimizer.step().unwrap();
            update += 1;
        }
    }
    let (ours, net) = model(3);
    trainer()
        .epochs(2)
        .schedule(LrSchedule::step(1, 0.5))
        .schedule_per_update(schedule)
        .clip_norm(0.1)
        .optimizer(configure)
        .train(&net, &ours, batches, val)
        .unwrap();
    assert!(difference(&values(&ours), &values(&theirs)) < 1e-12);
    // Every option matters.
    let (other, net) = model(3);
    trainer().epochs(2).train(&net, &other, batches, val).unwrap();
    assert!(difference(&values(&ours), &values(&other)) > 1e-3);
}

/// A model in `Float`, and the dtypes in which its last layer has computed.
fn float_model() -> (nn::VarStore, impl Fn(&Input, bool) -> (Tensor, Tensor)) {
    let vs = nn::VarStore::new(Device::Cpu);
    let encoder = nn::linear(vs.root() / "encoder", 4, 3, Default::default());
    let head = nn::linear(vs.root() / "head", 3, 3, Default::default());
    crate::support::fill(&vs, 0.0);
    (vs, move |input: &Input, _: bool| {
        let features = input.to_kind(Kind::Float).apply(&encoder).tanh();
        let logits = features.apply(&head);
        (features, logits)
    })
}

#[test]
fn a_teacher_trains_in_mixed_precision_with_a_loss_scale() {
    let run = |precision: Precision| {
        let (vs, net) = float_model();
        let kinds = std::cell::RefCell::new(Vec::new());
        let recorded = |input: &Input, train: bool| {
            let (features, logits) = net(input, train);
            kinds.borrow_mut().push(logits.kind());
            (features, logits)
        };
        let scaling = LossScaling { initial: 1024.0, ..LossScaling::default() };
        let trainer = plain().epochs(2).precision(precision).loss_scaling(scaling);
        let trained = trainer.train(&recorded, &vs, batches, val).unwrap();
        let kinds = kinds.into_inner();
        assert!(kinds.iter().all(|kind| *kind == kinds[0]));
        (values(&vs), trained.score, kinds[0])
    };
    let (full, score, kind) = run(Precision::Full);
    assert_eq!(kind, Kind::Float);
    for (precision, kind) in [(Precision::Bf16, Kind::BFloat16), (Precision::Fp16, Kind::Half)] {
        let (mixed, own, found) = run(precision);
        assert_eq!(found, kind);
        let difference = difference(&full, &mixed);
        assert!(0.0 < difference && difference < 0.02, "{precision:?}: {difference}");
        assert!((own - score).abs() < 0.05);
    }
}

/// An epoch whose second batch has NaN in its input.
fn with_nan(epoch: u64) -> Vec<g2d::Result<Batch>> {
    let mut all = batches(epoch);
    let nan = wave(0.0, &[6, 4]) * f64::NAN;
    all.insert(1, Ok(Batch::new([wave(0.0, &[6, 2]), nan], labels(6))));
    all
}

#[test]
fn a_step_that_is_not_finite_is_skipped_or_stops_the_training_as_the_policy_requires() {
    let (clean, net) = model(3);
    let expected = trainer().epochs(2).train(&net, &clean, batches, val).unwrap();
    let (vs, net) = model(3);
    let skipping = trainer().epochs(2).non_finite(NonFinite::Skip);
    let trained = skipping.train(&net, &vs, with_nan, val).unwrap();
    assert_eq!(difference(&values(&vs), &values(&clean)), 0.0);
    assert_eq!(trained, expected);

    let (vs, net) = model(3);
    let stopping = trainer().non_finite(NonFinite::StopAfter(1));
    let words = ["teacher of \"video\"", "epoch 0, step 1", "input of modality \"video\"", "1"];
    assert_error(stopping.train(&net, &vs, with_nan, val), &words);
}

#[test]
fn invalid_options_are_errors() {
    let (vs, net) = model(3);
    for (trainer, word) in [
        (trainer().accumulate(0), "accumulate"),
        (trainer().clip_norm(0.0), "clip_norm"),
        (trainer().schedule_per_update(LrSchedule::step(1, f64::NAN)), "gamma"),
        (trainer().optimizer(|builder| builder.group("none", SGD)), "group \"none\""),
        (trainer().non_finite(NonFinite::StopAfter(0)), "StopAfter"),
    ] {
        assert_error(trainer.train(&net, &vs, batches, val), &[word]);
    }
    let (other, _) = model(3);
    let words = ["model of \"video\"", "a parameter of the VarStore", "layers were made"];
    assert_error(trainer().train(&net, &other, batches, val), &words);
}
