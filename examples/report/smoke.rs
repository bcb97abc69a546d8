//! Two small runs, recorded by a training loop.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use g2d::{
    data::{BatchOrder, InMemory},
    diagnosis::{Diagnosis, Evidence, Metric, Thresholds},
    evaluate,
    loss::Classification,
    metrics::accuracy,
    optim::{Optimizer, SgdConfig},
    paper::networks::{
        EncoderConfig, MixedConfig, MixedFusion, MixedNetwork, MlpConfig, UnimodalNetwork,
    },
    prelude::*,
    probe::{ConfidenceRatio, GradientNorm},
    record::{Csv, Outcome, Recorders, RunFolder, RunInfo, TensorBoard},
    schedule::{Joint, Sequential},
    teacher::FrozenModel,
    trainer::UnimodalTrainer,
};
use serde_json::json;
use tch::{Device, Kind, Tensor, nn::VarStore};

const EPOCHS: u64 = 12;
const CLASSES: i64 = 4;
const INPUTS: i64 = 16;
const SGD: SgdConfig =
    SgdConfig { lr: 0.1, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false };

/// Training and validation data.
struct Data {
    train: InMemory,
    val: InMemory,
}

/// Records a run with SMP and one without in `folder`, and returns their run folders.
pub fn record(folder: &Path) -> Result<Vec<PathBuf>> {
    tch::manual_seed(1);
    let data = Data { train: samples(640)?, val: samples(320)? };
    let runs = [("g2d_smp", EPOCHS / 2), ("g2d_joint", 0)];
    runs.into_iter()
        .map(|(name, stage)| {
            let folder = folder.join(name);
            train(&folder, name, stage, &data)?;
            Ok(folder)
        })
        .collect()
}

/// Trains a student and records it in `folder`.
fn train(folder: &Path, name: &str, stage: u64, data: &Data) -> Result<()> {
    let vs = VarStore::new(Device::Cpu);
    let encoders = data.train.modalities().iter().map(|m| (m.clone(), encoder())).collect();
    let config = MixedConfig { encoders, fusion: MixedFusion::Late, outputs: CLASSES };
    let student = MixedNetwork::new(&vs, &config)?;
    let mut optimizer = Optimizer::builder(&vs, SGD).build()?;

    let mut info = RunInfo::new(name, student.modalities(), Device::Cpu)
        .config(&json!({"epochs": EPOCHS, "stage": stage, "sgd": SGD}))?
        .label("val_accuracy", "validation accuracy", "%");
    let mut builder = G2dTrainer::builder(Classification::default())
        .encoders(student.encoder_params(&vs)?)
        .probe(ConfidenceRatio::default())
        .probe(GradientNorm::default());
    for m in 0..student.modalities().len() {
        let (teacher, score) = teacher(m, data)?;
        info = info.teacher(teacher.modality().clone(), [("val_accuracy", 100.0 * score)]);
        builder = builder.teacher(teacher);
    }
    builder = match stage {
        0 => builder.scheduler(Joint::default()),
        _ => builder.scheduler(Sequential::new([stage])),
    };
    let mut trainer = builder.build(&student)?;

    let mut recorders = Recorders::new()
        .with(RunFolder::create(folder)?)
        .with(Csv::create(folder.join("epochs.csv"))?)
        .with(TensorBoard::create(folder.join("tensorboard"))?);
    recorders.begin(&info);
    let (mut metrics, mut reports) = (Vec::new(), Vec::new());
    for epoch in 0..EPOCHS {
        for batch in batches(&data.train) {
            optimizer.zero_grad()?;
            recorders.step(&trainer.step(&student, &batch?)?);
            optimizer.step()?;
        }
        recorders.encoders(epoch, &student.encoder_params(&vs)?);
        let report = trainer.end_epoch()?;
        metrics = validate(&student, &data.val)?;
        recorders.epoch(&report, &metrics);
        reports.push(report);
    }

    let share = |percent: f64| percent / 100.0;
    let mut evidence = Evidence::new(Metric::accuracy(CLASSES as u32), student.modalities())
        .with_reports(&reports);
    evidence.fused = Some(share(metrics[0].1));
    evidence.heads = metrics[1..].iter().map(|(_, head)| Some(share(*head))).collect();
    evidence.teachers = info.teachers.iter().map(|t| Some(share(t.scores[0].1))).collect();
    let diagnosis = Diagnosis::from_evidence(&evidence, &Thresholds::default())?;
    let outcome = Outcome { scores: metrics, diagnosis: Some(diagnosis), ..Default::default() };
    recorders.finish(&outcome);
    ensure!(recorders.failures().is_empty(), "recorders failed: {:?}", recorders.failures());
    Ok(())
}

/// The accuracy of the student and of its unimodal heads, in percent.
fn validate(student: &MixedNetwork, val: &InMemory) -> Result<Vec<(String, f64)>> {
    let predictions = evaluate(student, batches(val))?;
    let mut metrics = vec![("val_accuracy".to_owned(), 100.0 * predictions.accuracy()?)];
    for (modality, accuracy) in predictions.head_accuracy()? {
        metrics.push((format!("val_accuracy_{modality}"), 100.0 * accuracy));
    }
    Ok(metrics)
}

/// A trained teacher and its accuracy on validation data.
fn teacher(m: usize, data: &Data) -> Result<(FrozenModel, f64)> {
    let modality = &data.train.modalities()[m];
    let mut vs = VarStore::new(Device::Cpu);
    let model = UnimodalNetwork::new(&vs, &encoder(), CLASSES)?;
    let trained = UnimodalTrainer::new(modality.clone(), m, Classification::default(), SGD)
        .epochs(5)
        .score(accuracy)
        .train(&model, &vs, |_epoch| batches(&data.train), || batches(&data.val))?;
    Ok((FrozenModel::from_model(modality.clone(), &mut vs, model), trained.score))
}

fn encoder() -> EncoderConfig {
    EncoderConfig::Table(MlpConfig::plain(INPUTS, &[8]))
}

fn batches(set: &InMemory) -> impl Iterator<Item = g2d::Result<Batch>> {
    set.batches(&BatchOrder::stored(32), 0, Device::Cpu)
}

/// `n` samples of four classes: under noise in modality `a`, under less noise in `b`.
fn samples(n: i64) -> g2d::Result<InMemory> {
    let labels = Tensor::randint(CLASSES, [n], (Kind::Int64, Device::Cpu));
    let clear = labels.one_hot(CLASSES).to_kind(Kind::Float).repeat([1, INPUTS / CLASSES]);
    let noisy = |scale: f64| &clear + Tensor::randn_like(&clear) * scale;
    InMemory::new(["a", "b"], [noisy(2.5), noisy(1.5)], labels)
}
