//! Training in bf16 reaches the accuracy of fp32 on the demo's data.

use g2d::{
    G2dTrainer, Teacher,
    data::{InMemory, Order},
    loss::Classification,
    paper::{
        data::AvMnist,
        networks::{ClassifierConfig, FusionClassifier, UnimodalClassifier},
    },
    schedule::Sequential,
    teacher::{Cached, UnimodalModel},
    trainer::Precision,
};
use rand::{SeedableRng, rngs::StdRng};
use tch::{Device, nn, nn::OptimizerConfig};

const DIGITS: &[u8] = include_bytes!("../../examples/data/spoken-digits/digits.npz");
const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];
const EPOCHS: u64 = 20;
const BATCH: usize = 32;
/// scipy.stats.t.ppf(0.975, 4)
const T: f64 = 2.776_445_105_197_793;

fn optimizer(vs: &nn::VarStore) -> nn::Optimizer {
    nn::sgd(0.9, 0.0, 1e-4, false).build(vs, 0.01).unwrap()
}

/// The learning rate is reduced to a tenth after two thirds of the epochs.
fn lr(epoch: u64) -> f64 {
    if epoch < EPOCHS * 2 / 3 { 0.01 } else { 0.001 }
}

fn teacher(set: &AvMnist, m: usize, seed: u64) -> Cached {
    tch::manual_seed(seed as i64 + 1000 * (m as i64 + 1));
    let mut vs = nn::VarStore::new(Device::Cpu);
    let config = ClassifierConfig::default();
    let net = UnimodalClassifier::new(&vs, 1, AvMnist::CLASSES, config.backbone, config.init);
    let net = net.unwrap();
    let (mut optimizer, mut rng) = (optimizer(&vs), StdRng::seed_from_u64(seed));
    for epoch in 0..EPOCHS {
        optimizer.set_lr(lr(epoch));
        for batch in set.train.batches(BATCH, Order::Shuffled(&mut rng), Device::Cpu) {
            let batch = batch.unwrap();
            let (_, logits) = net.forward(&batch.inputs()[m], true).unwrap();
            optimizer.backward_step(&logits.cross_entropy_for_logits(batch.targets()));
        }
    }
    let teacher = net.into_teacher(set.train.modalities()[m].clone(), &mut vs);
    let stored = set.train.batches(BATCH, Order::Stored, Device::Cpu);
    Cached::record(&teacher as &dyn Teacher, m, stored).unwrap()
}

/// The test accuracy of G²D in percent.
fn student(set: &AvMnist, teachers: &[Cached], seed: u64, precision: Precision) -> f64 {
    tch::manual_seed(seed as i64);
    let vs = nn::VarStore::new(Device::Cpu);
    let channels: Vec<_> = set.train.modalities().iter().map(|m| (m.clone(), 1)).collect();
    let config = ClassifierConfig::default();
    let student = FusionClassifier::new(&vs, &channels, AvMnist::CLASSES, config).unwrap();
    let builder = G2dTrainer::builder(Classification::default())
        .encoders(student.encoder_params(&vs).unwrap())
        .scheduler(Sequential::new([EPOCHS / 2]))
        .precision(precision);
    let builder =
        teachers.iter().fold(builder, |builder, teacher| builder.teacher(teacher.share()));
    let mut trainer = builder.build(&student).unwrap();
    let (mut optimizer, mut rng) = (optimizer(&vs), StdRng::seed_from_u64(seed));
    for epoch in 0..EPOCHS {
        optimizer.set_lr(lr(epoch));
        for batch in set.train.batches(BATCH, Order::Shuffled(&mut rng), Device::Cpu) {
            optimizer.zero_grad();
            trainer.step(&student, &batch.unwrap()).unwrap();
            optimizer.step();
        }
        trainer.end_epoch().unwrap();
    }
    let test = |set: &InMemory| {
        let batches = set.batches(BATCH, Order::Stored, Device::Cpu);
        trainer.evaluate(&student, batches).unwrap().accuracy().unwrap()
    };
    100.0 * test(&set.test)
}

/// The mean, and half the width of its 95 % confidence interval.
fn mean_and_half_width(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, T * (variance / n).sqrt())
}

#[test]
#[ignore = "20 trainings, minutes"]
fn bf16_reaches_the_accuracy_of_fp32() {
    let set = AvMnist::from_npz_bytes("digits.npz", DIGITS).unwrap();
    let (mut full, mut half) = (Vec::new(), Vec::new());
    for seed in SEEDS {
        let teachers = [0, 1].map(|m| teacher(&set, m, seed));
        full.push(student(&set, &teachers, seed, Precision::Full));
        half.push(student(&set, &teachers, seed, Precision::Bf16));
        eprintln!(
            "seed {seed}: fp32 {:.2} %, bf16 {:.2} %",
            full.last().unwrap(),
            half.last().unwrap()
        );
    }
    let ((mean, width), (other, other_width)) =
        (mean_and_half_width(&full), mean_and_half_width(&half));
    let differences: Vec<f64> = half.iter().zip(&full).map(|(h, f)| h - f).collect();
    let (difference, difference_width) = mean_and_half_width(&differences);
    eprintln!(
        "fp32 {mean:.2} ± {width:.2}, bf16 {other:.2} ± {other_width:.2}, paired \
         difference {difference:+.2} ± {difference_width:.2}"
    );
    assert!(half != full, "bf16 gave the same numbers as fp32");
    assert!(mean > 40.0, "fp32 accuracies: {full:?}");
    assert!((other - mean).abs() <= width, "bf16 {half:?}, fp32 {full:?}");
}
