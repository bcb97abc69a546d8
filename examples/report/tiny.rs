//! Two tiny runs, recorded as a training loop does it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use g2d::{
    diagnosis::{Diagnosis, Evidence, Metric, Thresholds},
    evaluate,
    metrics::accuracy,
    optim::{Optimizer, SgdConfig},
    prelude::*,
    probe::{ConfidenceRatio, GradientNorm},
    record::{Csv, Outcome, Recorders, RunFolder, RunInfo, TensorBoard},
};
use g2d::{
    loss::Classification,
    schedule::{Joint, Sequential},
    teacher::FrozenModel,
    trainer::UnimodalTrainer,
};
use tch::{Device, Kind, Tensor, nn, nn::Module};

const EPOCHS: u64 = 12;
const CLASSES: i64 = 4;

/// An encoder a modality and a head over both.
struct Model {
    names: Vec<Modality>,
    encoders: Vec<nn::Linear>,
    head: nn::Linear,
}

impl Model {
    fn new(vs: &nn::VarStore) -> Self {
        let names = Modality::list(["a", "b"]);
        let encoder = |m: &Modality| nn::linear(vs.root() / m.name(), 16, 8, Default::default());
        let encoders = names.iter().map(encoder).collect();
        let head = nn::linear(vs.root() / "head", 16, CLASSES, Default::default());
        Self { names, encoders, head }
    }
}

impl Student for Model {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }
    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> g2d::Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)).relu())
    }
    fn fuse(&self, features: &[Tensor], _train: bool) -> g2d::Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        let alone =
            |(j, f): (usize, &Tensor)| if j == m { f.shallow_clone() } else { f.zeros_like() };
        self.fuse(&features.iter().enumerate().map(alone).collect::<Vec<_>>(), false).ok()
    }
}

/// Records a run with SMP and one without below `folder`; says where.
pub fn record(folder: &Path) -> Result<Vec<PathBuf>> {
    tch::manual_seed(1);
    let [train, val] = [20, 10].map(|n| (0..n).map(|_| sample()).collect::<Vec<_>>());
    let runs = [("g2d_smp", EPOCHS / 2), ("g2d_joint", 0)];
    runs.into_iter()
        .map(|(name, stage)| run(&folder.join(name), name, stage, &train, &val))
        .collect()
}

fn run(folder: &Path, name: &str, stage: u64, train: &[Sample], val: &[Sample]) -> Result<PathBuf> {
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Model::new(&vs);
    let mut optimizer =
        Optimizer::builder(&vs, SgdConfig { lr: 0.05, ..Default::default() }).build()?;
    let encoders = || ModalityParams::by_name(&vs, model.modalities());
    let mut info = RunInfo::new(name, model.modalities(), Device::Cpu)
        .config(&serde_json::json!({"epochs": EPOCHS, "stage": stage, "optimizer": {"name": "sgd", "lr": 0.05}}))?
        .label("val_accuracy", "validation accuracy", "%");
    let mut builder = G2dTrainer::builder(Classification::default())
        .encoders(encoders()?)
        .probe(ConfidenceRatio::default())
        .probe(GradientNorm::default());
    for (m, modality) in model.modalities().iter().enumerate() {
        let (teacher, score) = teacher(m, modality, train, val)?;
        info = info.teacher(modality.clone(), [("val_accuracy", score)]);
        builder = builder.teacher(teacher);
    }
    builder = if stage > 0 {
        builder.scheduler(Sequential::new([stage]))
    } else {
        builder.scheduler(Joint::default())
    };
    let mut trainer = builder.build(&model)?;

    let mut recorders = Recorders::new()
        .with(RunFolder::create(folder)?)
        .with(Csv::create(folder.join("epochs.csv"))?)
        .with(TensorBoard::create(folder.join("tensorboard"))?);
    recorders.begin(&info);
    let (mut last, mut reports) = (Vec::new(), Vec::new());
    for epoch in 0..EPOCHS {
        for (inputs, labels) in train {
            optimizer.zero_grad()?;
            recorders.step(&trainer.step(&model, &batch(inputs, labels))?);
            optimizer.step()?;
        }
        recorders.encoders(epoch, &encoders()?);
        let report = trainer.end_epoch()?;
        last = validate(&model, val)?;
        recorders.epoch(&report, &last);
        reports.push(report);
    }
    let mut seen =
        Evidence::new(Metric::accuracy(CLASSES as u32), &model.names).with_reports(&reports);
    seen.fused = Some(last[0].1 / 100.0);
    seen.heads = last[1..].iter().map(|(_, head)| Some(head / 100.0)).collect();
    seen.teachers = info.teachers.iter().map(|t| Some(t.scores[0].1 / 100.0)).collect();
    let diagnosis = Some(Diagnosis::from_evidence(&seen, &Thresholds::default())?);
    recorders.finish(&Outcome { scores: last, diagnosis, ..Default::default() });
    ensure!(recorders.failures().is_empty(), "not all was recorded: {:?}", recorders.failures());
    Ok(folder.to_owned())
}

/// Accuracy of the student and of each modality inside it.
fn validate(model: &Model, val: &[Sample]) -> Result<Vec<(String, f64)>> {
    let batches = val.iter().map(|(inputs, labels)| Ok(batch(inputs, labels)));
    let seen = evaluate(model, batches)?;
    let mut all = vec![("val_accuracy".to_owned(), 100.0 * accuracy(&seen.logits, &seen.targets)?)];
    for (modality, logits) in &seen.heads {
        all.push((format!("val_accuracy_{modality}"), 100.0 * accuracy(logits, &seen.targets)?));
    }
    Ok(all)
}

/// A unimodal model and its accuracy on validation data.
fn teacher(
    m: usize,
    modality: &Modality,
    train: &[Sample],
    val: &[Sample],
) -> Result<(FrozenModel, f64)> {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let encoder = nn::linear(vs.root() / "encoder", 16, 8, Default::default());
    let head = nn::linear(vs.root() / "head", 8, CLASSES, Default::default());
    let model = move |input: &Tensor, _train: bool| {
        let features = encoder.forward(input).relu();
        let logits = head.forward(&features);
        (features, logits)
    };
    let batches = |set: &[Sample]| set.iter().map(|(x, y)| Ok(batch(x, y))).collect::<Vec<_>>();
    let rule = SgdConfig { lr: 0.1, ..Default::default() };
    let taught = UnimodalTrainer::new(modality.clone(), m, Classification::default(), rule)
        .epochs(5)
        .score(accuracy)
        .train(&model, &vs, |_epoch| batches(train), || batches(val))?;
    Ok((FrozenModel::new(modality.clone(), &mut vs, model), 100.0 * taught.score))
}

type Sample = ([Tensor; 2], Tensor);

fn batch(inputs: &[Tensor; 2], labels: &Tensor) -> Batch {
    Batch::new(inputs.each_ref().map(Tensor::shallow_clone), labels.shallow_clone())
}

/// 32 samples of four classes: under little noise in `b`, under more in `a`.
fn sample() -> Sample {
    let labels = Tensor::randint(CLASSES, [32], (Kind::Int64, Device::Cpu));
    let plain = labels.one_hot(CLASSES).to_kind(Kind::Float).repeat([1, 4]);
    let noisy = |scale: f64| &plain + Tensor::randn_like(&plain) * scale;
    ([noisy(2.5), noisy(1.5)], labels)
}
