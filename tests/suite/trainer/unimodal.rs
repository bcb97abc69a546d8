//! A teacher's training: against PyTorch's numbers by hand, what is kept, and every refusal.

use std::cell::{Cell, RefCell};

use g2d::{
    Batch, Teacher,
    loss::{Classification, Regression},
    metrics,
    optim::{LrSchedule, SgdConfig},
    teacher::FrozenModel,
    trainer::{KeepWeights, UnimodalTrainer},
};
use tch::{Device, Kind, Tensor, nn, nn::Module};

use crate::support::{Snapshot, count_synchronisations, fill, refused, values, wave};

type Model = Box<dyn Fn(&Tensor, bool) -> (Tensor, Tensor) + Send>;

/// Two linear layers on 4 inputs, in `Double`, the same whatever other tests do.
fn model(outputs: i64) -> (nn::VarStore, Model) {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let encoder = nn::linear(vs.root() / "encoder", 4, 3, Default::default());
    let head = nn::linear(vs.root() / "head", 3, outputs, Default::default());
    vs.set_kind(Kind::Double);
    fill(&vs, 0.0);
    let forward = move |input: &Tensor, _train: bool| {
        let features = encoder.forward(input).tanh();
        let logits = head.forward(&features);
        (features, logits)
    };
    (vs, Box::new(forward))
}

fn batch(seed: f64, rows: i64) -> Batch {
    let labels = Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(3);
    Batch::new([wave(50.0, &[rows, 2]), wave(seed, &[rows, 4])], labels)
}

fn batches(epoch: u64) -> Vec<g2d::Result<Batch>> {
    (0..3).map(|i| Ok(batch(epoch as f64 + 10.0 * i as f64, 6))).collect()
}

fn val() -> Vec<g2d::Result<Batch>> {
    vec![Ok(batch(100.0, 6)), Ok(batch(200.0, 4))]
}

const RULE: SgdConfig =
    SgdConfig { lr: 0.2, momentum: 0.9, dampening: 0.0, weight_decay: 0.01, nesterov: false };

fn trainer<'a>() -> UnimodalTrainer<'a> {
    UnimodalTrainer::new("video", 1, Classification::default(), RULE)
}

fn distance(a: &Snapshot, b: &Snapshot) -> f64 {
    let each = a.iter().zip(b).map(|((_, a), (_, b))| (a - b).abs().max().double_value(&[]));
    each.fold(0.0, f64::max)
}

/// In `Double`, which tch's `cross_entropy_for_logits` is not.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    let p = logits.log_softmax(-1, Kind::Double).gather(1, &labels.unsqueeze(1), false);
    -p.mean(Kind::Double)
}

#[test]
fn it_is_the_plain_loop() {
    let (vs, net) = model(3);
    let (theirs, plain) = model(3);
    // θ ← θ − lr (momentum b + g + decay θ), by hand.
    let mut momenta: [Option<Tensor>; 4] = Default::default();
    let mut loss_of_last = 0.0;
    for epoch in 0..3 {
        let lr = if epoch < 2 { 0.2 } else { 0.02 };
        let mut sum = 0.0;
        for batch in batches(epoch) {
            let batch = batch.unwrap();
            let parameters = theirs.trainable_variables();
            let loss = cross_entropy(&plain(batch.input(1), true).1, batch.targets());
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
    let taught = trainer()
        .epochs(3)
        .schedule(LrSchedule::step(2, 0.1))
        .train(&net, &vs, batches, val)
        .unwrap();
    assert!(distance(&values(&vs), &values(&theirs)) < 1e-12);
    assert!((taught.epochs[2].loss - loss_of_last).abs() < 1e-12, "{taught:?}");
    assert_eq!((taught.kept, taught.stopped_early, taught.epochs.len()), (2, false, 3));
    // The score is −L_S over all validation samples, 6 and 4.
    let _no_grad = tch::no_grad_guard();
    let loss = |b: Batch| cross_entropy(&plain(b.input(1), false).1, b.targets());
    let expected = (loss(batch(100.0, 6)) * 6.0 + loss(batch(200.0, 4)) * 4.0) / 10.0;
    assert!((taught.score + expected.double_value(&[])).abs() < 1e-12);
    // Ready to teach.
    let mut vs = vs;
    let expected = net(&batch(1.0, 5).input(1).shallow_clone(), false).1;
    let teacher = FrozenModel::new("video", &mut vs, net);
    let answer = teacher.output(1, &batch(1.0, 5)).unwrap();
    assert_eq!(answer.logits, expected);
}

/// Trains with these scores, epoch by epoch; what was kept, and the weights after every epoch.
fn scored(keep: KeepWeights, patience: u64, scores: &[f64]) -> (g2d::trainer::TrainedTeacher, f64) {
    let (vs, net) = model(3);
    let epoch = Cell::new(0);
    let seen = RefCell::new(Vec::new());
    let taught = trainer()
        .epochs(scores.len() as u64)
        .keep(keep)
        .patience(patience)
        .score(|_, _| Ok(scores[epoch.replace(epoch.get() + 1)]))
        .on_epoch(|_| seen.borrow_mut().push(values(&vs)))
        .train(&net, &vs, batches, val)
        .unwrap();
    let kept = distance(&values(&vs), &seen.borrow()[taught.kept as usize]);
    assert_eq!(seen.borrow().len(), taught.epochs.len());
    (taught, kept)
}

#[test]
fn last_or_best_with_patience() {
    let scores = [0.2, 0.6, 0.5, 0.6, 0.3, 0.9];
    let (taught, off) = scored(KeepWeights::Best, 3, &scores);
    assert_eq!((taught.kept, taught.epochs.len(), off), (1, 5, 0.0), "equals are not better");
    assert_eq!((taught.score, taught.stopped_early), (0.6, true));
    let (taught, off) = scored(KeepWeights::Last, 3, &scores);
    assert_eq!((taught.kept, taught.score, off), (4, 0.3, 0.0));
    let (taught, off) = scored(KeepWeights::Best, 4, &scores);
    assert_eq!((taught.kept, taught.stopped_early, off), (5, false, 0.0));
}

#[test]
fn the_same_seeds_train_the_same_teacher_with_one_read_an_epoch() {
    let run = || {
        let (vs, net) = model(3);
        let trainer = trainer().epochs(4).score(metrics::accuracy);
        let train = || trainer.train(&net, &vs, batches, val).unwrap();
        assert_eq!(count_synchronisations(train).1, 4);
        values(&vs)
    };
    assert_eq!(distance(&run(), &run()), 0.0);
}

#[test]
fn values_and_samples_without_the_modality() {
    let regression = |rows: i64| Batch::new([wave(1.0, &[rows, 4])], wave(3.0, &[rows]));
    let train = |with_others: bool| {
        let (vs, net) = model(1);
        let batches = |_| {
            let mut all = vec![Ok(regression(6))];
            if with_others {
                let nan = Tensor::full([2, 4], f64::NAN, (Kind::Double, Device::Cpu));
                let inputs = Tensor::cat(&[wave(1.0, &[6, 4]), nan.shallow_clone()], 0);
                let targets = Tensor::cat(&[wave(3.0, &[6]), wave(9.0, &[2])], 0);
                let flags = [true, true, true, true, true, true, false, false];
                all = vec![Ok(Batch::new([inputs], targets).with_present(0, flags))];
                all.push(Ok(Batch::new([nan], wave(9.0, &[2])).with_present(0, [false; 2])));
            }
            all
        };
        let rule = SgdConfig { lr: 0.05, ..SgdConfig::default() };
        let taught = UnimodalTrainer::new("a", 0, Regression::default(), rule)
            .epochs(60)
            .score(|p, y| Ok(-metrics::rmse(p, y)?))
            .train(&net, &vs, batches, || vec![Ok(regression(6))])
            .unwrap();
        (values(&vs), taught)
    };
    let (plain, taught) = train(false);
    assert!(taught.score > taught.epochs[0].score, "it learns: {taught:?}");
    assert_eq!(distance(&plain, &train(true).0), 0.0);
}

#[test]
fn mistakes_say_what_and_where() {
    let (vs, net) = model(3);
    let none = |_| Vec::new();
    refused(trainer().train(&net, &vs, none, val), &["training batches of", "video", "none"]);
    refused(trainer().train(&net, &vs, batches, Vec::new), &["validation batches", "epoch 0"]);
    refused(trainer().epochs(0).train(&net, &vs, batches, val), &["at least 1"]);
    refused(trainer().patience(0).train(&net, &vs, batches, val), &["at least 1"]);
    let poor = UnimodalTrainer::new("x", 2, Classification::default(), RULE);
    refused(poor.train(&net, &vs, batches, val), &["index of a modality", "below 2"]);
    let bad = SgdConfig { lr: f64::NAN, ..RULE };
    let bad = UnimodalTrainer::new("x", 1, Classification::default(), bad);
    refused(bad.train(&net, &vs, batches, val), &["lr", "NaN"]);
    let empty = nn::VarStore::new(Device::Cpu);
    refused(trainer().train(&net, &empty, batches, val), &["VarStore with parameters"]);

    let swapped = |input: &Tensor, _: bool| (input.shallow_clone(), input.mean(None));
    refused(trainer().train(&swapped, &vs, batches, val), &["features and logits", "[6, C]"]);
    let labels = |_| {
        let targets = Tensor::full([6], 7, (Kind::Int64, Device::Cpu));
        vec![Ok(Batch::new([wave(0.0, &[6, 4]), wave(0.0, &[6, 4])], targets))]
    };
    refused(trainer().train(&net, &vs, labels, val), &["classes 0..3", "7"]);
    let short = |_| vec![Ok(Batch::new([wave(0.0, &[6, 4]), wave(0.0, &[5, 4])], labels_of(6)))];
    refused(trainer().train(&net, &vs, short, val), &["input of modality", "[6, …]", "[5, 4]"]);

    let nan = |epoch: u64| {
        let mut all = batches(epoch);
        if epoch == 1 {
            let input = wave(0.0, &[6, 4]) * f64::NAN;
            all[2] = Ok(Batch::new([wave(0.0, &[6, 4]), input], labels_of(6)));
        }
        all
    };
    let before = values(&vs);
    let found = trainer().train(&net, &vs, nan, val);
    refused(found, &["loss of the teacher of \"video\" in epoch 1, step 2", "NaN"]);
    assert!(distance(&values(&vs), &before).is_finite(), "no step was made with it");
    let score = trainer().score(|_, _| Ok(f64::NAN));
    refused(score.train(&net, &vs, batches, val), &["score", "epoch 0", "NaN"]);

    let mut frozen = vs;
    frozen.freeze();
    refused(trainer().train(&net, &frozen, batches, val), &["parameter that learns"]);
}

fn labels_of(rows: i64) -> Tensor {
    Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(3)
}
