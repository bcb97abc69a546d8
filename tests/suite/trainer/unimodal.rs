//! The training of a teacher.

use std::cell::{Cell, RefCell};

use g2d::{
    Batch, Teacher,
    batch::Input,
    loss::{Classification, Regression},
    metrics,
    optim::{LrSchedule, SgdConfig},
    teacher::FrozenModel,
    trainer::{KeepWeights, TrainedTeacher, UnimodalTrainer},
};
use tch::{Device, Kind, Tensor, nn, nn::Module};

use crate::support::{Snapshot, assert_error, count_synchronisations, fill, labels, values, wave};

type Model = Box<dyn Fn(&Input, bool) -> (Tensor, Tensor) + Send>;

/// Two linear layers on 4 inputs, in `Double`.
fn model(outputs: i64) -> (nn::VarStore, Model) {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let encoder = nn::linear(vs.root() / "encoder", 4, 3, Default::default());
    let head = nn::linear(vs.root() / "head", 3, outputs, Default::default());
    vs.set_kind(Kind::Double);
    fill(&vs, 0.0);
    let forward = move |input: &Input, _train: bool| {
        let features = encoder.forward(input).tanh();
        let logits = head.forward(&features);
        (features, logits)
    };
    (vs, Box::new(forward))
}

fn batch(seed: f64, rows: i64) -> Batch {
    Batch::new([wave(50.0, &[rows, 2]), wave(seed, &[rows, 4])], labels(rows))
}

fn batches(epoch: u64) -> Vec<g2d::Result<Batch>> {
    (0..3).map(|i| Ok(batch(epoch as f64 + 10.0 * i as f64, 6))).collect()
}

fn val() -> Vec<g2d::Result<Batch>> {
    vec![Ok(batch(100.0, 6)), Ok(batch(200.0, 4))]
}

const SGD: SgdConfig =
    SgdConfig { lr: 0.2, momentum: 0.9, dampening: 0.0, weight_decay: 0.01, nesterov: false };

fn trainer<'a>() -> UnimodalTrainer<'a> {
    UnimodalTrainer::new("video", 1, Classification::default(), SGD)
}

/// The largest difference of two elements.
fn difference(a: &Snapshot, b: &Snapshot) -> f64 {
    let each = a.iter().zip(b).map(|((_, a), (_, b))| (a - b).abs().max().double_value(&[]));
    each.fold(0.0, f64::max)
}

/// In `Double`; tch's `cross_entropy_for_logits` computes in `Float`.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let p = logits.log_softmax(-1, Kind::Double).gather(1, &labels.unsqueeze(1), false);
    -p.mean(Kind::Double)
}

#[test]
fn training_equals_a_plain_loop_and_keeps_the_last_epoch_by_default() {
    let (vs, net) = model(3);
    let (theirs, plain) = model(3);
    // b ← μ b + g + λ θ, θ ← θ − η b.
    let mut momenta: [Option<Tensor>; 4] = Default::default();
    let mut loss_of_last = 0.0;
    for epoch in 0..3 {
        let lr = if epoch < 2 { 0.2 } else { 0.02 };
        let mut sum = 0.0;
        for batch in batches(epoch) {
            let batch = batch.unwrap();
            let parameters = theirs.trainable_variables();
            let loss = cross_entropy(&plain(&batch.inputs()[1], true).1, batch.targets());
            sum += loss.double_value(&[]) / 3.0;
            let gradients = Tensor::run_backward(&[&loss], &parameters, false, false);
            let _no_grad = tch::no_grad_guard();
            for ((parameter, g), b) in parameters.iter().zip(gradients).zip(&mut momenta) {
                let g = g + parameter * 0.01;
                let next = b.as_ref().map_or_else(|| g.copy(), |b| b * 0.9 + &g);
                let mut parameter = parameter.shallow_clone();
                let _ = parameter.f_sub_(&(&next * lr)).unwrap();
                *b = Some(next);
            }
        }
        loss_of_last = sum;
    }
    let trained = trainer()
        .epochs(3)
        .schedule(LrSchedule::step(2, 0.1))
        .train(&net, &vs, batches, val)
        .unwrap();
    assert!(difference(&values(&vs), &values(&theirs)) < 1e-12);
    assert!((trained.epochs[2].loss - loss_of_last).abs() < 1e-12, "{trained:?}");
    assert_eq!((trained.kept, trained.stopped_early, trained.epochs.len()), (2, false, 3));
    // The score is −L_S over all validation samples, 6 and 4.
    let _no_grad = tch::no_grad_guard();
    let loss = |b: Batch| cross_entropy(&plain(&b.inputs()[1], false).1, b.targets());
    let expected = (loss(batch(100.0, 6)) * 6.0 + loss(batch(200.0, 4)) * 4.0) / 10.0;
    assert!((trained.score + expected.double_value(&[])).abs() < 1e-12);
    // The trained model as a teacher.
    let mut vs = vs;
    let expected = net(&batch(1.0, 5).inputs()[1], false).1;
    let teacher = FrozenModel::new("video", &mut vs, net);
    let output = teacher.output(1, &batch(1.0, 5)).unwrap();
    assert_eq!(output.logits, expected);
}

/// Trains with these scores of the epochs; returns the result, and the difference of the final
/// weights from those after the epoch that was kept.
fn train_with_scores(keep: KeepWeights, patience: u64, scores: &[f64]) -> (TrainedTeacher, f64) {
    let (vs, net) = model(3);
    let epoch = Cell::new(0);
    let weights = RefCell::new(Vec::new());
    let trained = trainer()
        .epochs(scores.len() as u64)
        .keep(keep)
        .patience(patience)
        .score(|_, _| Ok(scores[epoch.replace(epoch.get() + 1)]))
        .on_epoch(|_| weights.borrow_mut().push(values(&vs)))
        .train(&net, &vs, batches, val)
        .unwrap();
    let difference = difference(&values(&vs), &weights.borrow()[trained.kept as usize]);
    assert_eq!(weights.borrow().len(), trained.epochs.len());
    (trained, difference)
}

#[test]
fn the_weights_of_the_last_or_best_epoch_are_kept_and_patience_stops_training() {
    let scores = [0.2, 0.6, 0.5, 0.6, 0.3, 0.9];
    let (trained, difference) = train_with_scores(KeepWeights::Best, 3, &scores);
    assert_eq!((trained.kept, trained.epochs.len()), (1, 5), "an equal score is not better");
    assert_eq!((trained.score, trained.stopped_early, difference), (0.6, true, 0.0));
    let (trained, difference) = train_with_scores(KeepWeights::Last, 3, &scores);
    assert_eq!((trained.kept, trained.score, difference), (4, 0.3, 0.0));
    let (trained, difference) = train_with_scores(KeepWeights::Best, 4, &scores);
    assert_eq!((trained.kept, trained.stopped_early, difference), (5, false, 0.0));
}

#[test]
fn training_is_deterministic_and_synchronises_once_per_epoch() {
    let run = || {
        let (vs, net) = model(3);
        let trainer = trainer().epochs(4).score(metrics::accuracy);
        let train = || trainer.train(&net, &vs, batches, val).unwrap();
        assert_eq!(count_synchronisations(train).1, 4);
        values(&vs)
    };
    assert_eq!(difference(&run(), &run()), 0.0);
}

#[test]
fn a_regression_trains_and_samples_without_the_modality_are_left_out() {
    let regression = |rows: i64| Batch::new([wave(1.0, &[rows, 4])], wave(3.0, &[rows]));
    let train = |with_missing: bool| {
        let (vs, net) = model(1);
        let batches = |_| {
            let mut all = vec![Ok(regression(6))];
            if with_missing {
                let nan = Tensor::full([2, 4], f64::NAN, (Kind::Double, Device::Cpu));
                let inputs = Tensor::cat(&[wave(1.0, &[6, 4]), nan.shallow_clone()], 0);
                let targets = Tensor::cat(&[wave(3.0, &[6]), wave(9.0, &[2])], 0);
                let flags = [true, true, true, true, true, true, false, false];
                all = vec![Ok(Batch::new([inputs], targets).with_present(0, flags))];
                all.push(Ok(Batch::new([nan], wave(9.0, &[2])).with_present(0, [false; 2])));
            }
            all
        };
        let sgd = SgdConfig { lr: 0.05, ..SgdConfig::default() };
        let trained = UnimodalTrainer::new("a", 0, Regression::default(), sgd)
            .epochs(60)
            .score(|p, y| Ok(-metrics::rmse(p, y)?))
            .train(&net, &vs, batches, || vec![Ok(regression(6))])
            .unwrap();
        (values(&vs), trained)
    };
    let (plain, trained) = train(false);
    assert!(trained.score > trained.epochs[0].score, "{trained:?}");
    assert_eq!(difference(&plain, &train(true).0), 0.0);
}

#[test]
fn invalid_batches_configurations_and_losses_are_errors_with_their_place() {
    let (vs, net) = model(3);
    let none = |_| Vec::new();
    assert_error(trainer().train(&net, &vs, none, val), &["training batches of", "video", "none"]);
    assert_error(trainer().train(&net, &vs, batches, Vec::new), &["validation batches", "epoch 0"]);
    assert_error(trainer().epochs(0).train(&net, &vs, batches, val), &["at least 1"]);
    assert_error(trainer().patience(0).train(&net, &vs, batches, val), &["at least 1"]);
    let absent = UnimodalTrainer::new("x", 2, Classification::default(), SGD);
    assert_error(absent.train(&net, &vs, batches, val), &["index of a modality", "below 2"]);
    let invalid = SgdConfig { lr: f64::NAN, ..SGD };
    let invalid = UnimodalTrainer::new("x", 1, Classification::default(), invalid);
    assert_error(invalid.train(&net, &vs, batches, val), &["lr", "NaN"]);
    let empty = nn::VarStore::new(Device::Cpu);
    assert_error(trainer().train(&net, &empty, batches, val), &["VarStore with parameters"]);

    let swapped = |input: &Input, _: bool| (input.first().shallow_clone(), input.mean(None));
    assert_error(trainer().train(&swapped, &vs, batches, val), &["features and logits", "[6, C]"]);
    let unknown_class = |_| {
        let targets = Tensor::full([6], 7, (Kind::Int64, Device::Cpu));
        vec![Ok(Batch::new([wave(0.0, &[6, 4]), wave(0.0, &[6, 4])], targets))]
    };
    assert_error(trainer().train(&net, &vs, unknown_class, val), &["classes 0..3", "7"]);
    let short = |_| vec![Ok(Batch::new([wave(0.0, &[6, 4]), wave(0.0, &[5, 4])], labels(6)))];
    assert_error(
        trainer().train(&net, &vs, short, val),
        &["input of modality", "[6, …]", "[5, 4]"],
    );

    let nan = |epoch: u64| {
        let mut all = batches(epoch);
        if epoch == 1 {
            let input = wave(0.0, &[6, 4]) * f64::NAN;
            all[2] = Ok(Batch::new([wave(0.0, &[6, 4]), input], labels(6)));
        }
        all
    };
    let before = values(&vs);
    let found = trainer().train(&net, &vs, nan, val);
    assert_error(found, &["loss of the teacher of \"video\" in epoch 1, step 2", "NaN"]);
    assert!(difference(&values(&vs), &before).is_finite(), "the optimizer made no step with NaN");
    let score = trainer().score(|_, _| Ok(f64::NAN));
    assert_error(score.train(&net, &vs, batches, val), &["score", "epoch 0", "NaN"]);

    let mut frozen = vs;
    frozen.freeze();
    assert_error(trainer().train(&net, &frozen, batches, val), &["parameter that learns"]);
}
