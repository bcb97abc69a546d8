//! Two tiny runs, recorded as a training loop does it.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use g2d::{
    ConfidenceRatio, GradientNorm, evaluate,
    metrics::accuracy,
    prelude::*,
    record::{CsvRecorder, Finding, Outcome, Recorders, RunInfo, RunRecorder, TensorBoard},
};
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};

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
    let mut optimizer = nn::Sgd::default().build(&vs, 0.05)?;
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
        builder.scheduler(Sequential::stages([stage]))
    } else {
        builder.scheduler(Joint::default())
    };
    let mut trainer = builder.build(&model)?;

    let mut recorders = Recorders::new()
        .with(RunRecorder::create(folder)?)
        .with(CsvRecorder::create(folder.join("epochs.csv"))?)
        .with(TensorBoard::create(folder.join("tensorboard"))?);
    recorders.begin(&info);
    let mut last = Vec::new();
    for epoch in 0..EPOCHS {
        for (inputs, labels) in train {
            optimizer.zero_grad();
            recorders.step(&trainer.step(&model, &batch(inputs, labels))?);
            optimizer.step();
        }
        recorders.encoders(epoch, &encoders()?);
        let report = trainer.end_epoch()?;
        last = validate(&model, val)?;
        recorders.epoch(&report, &last);
    }
    let better = info.teachers.iter().max_by(|a, b| a.scores[0].1.total_cmp(&b.scores[0].1));
    let diagnosis = better.map(|teacher| Finding {
        text: format!(
            "The teacher of {} alone reaches {:.0} %, the student {:.0} %.",
            teacher.modality, teacher.scores[0].1, last[0].1
        ),
        numbers: vec![("val_accuracy".to_owned(), last[0].1)],
    });
    recorders.finish(&Outcome { scores: last, diagnosis: diagnosis.into_iter().collect() });
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
) -> Result<(ModuleTeacher, f64)> {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let encoder = nn::linear(vs.root() / "encoder", 16, 8, Default::default());
    let head = nn::linear(vs.root() / "head", 8, CLASSES, Default::default());
    let mut optimizer = nn::Sgd::default().build(&vs, 0.1)?;
    for (inputs, labels) in std::iter::repeat_n(train, 5).flatten() {
        let logits = head.forward(&encoder.forward(&inputs[m]).relu());
        optimizer.backward_step(&logits.cross_entropy_for_logits(labels));
    }
    let answer = |x: &Tensor| head.forward(&encoder.forward(x).relu());
    let [logits, labels] = [
        val.iter().map(|(inputs, _)| answer(&inputs[m])).collect::<Vec<_>>(),
        val.iter().map(|(_, labels)| labels.shallow_clone()).collect(),
    ]
    .map(|parts| Tensor::cat(&parts, 0));
    let score = 100.0 * accuracy(&logits, &labels)?;
    let teacher = ModuleTeacher::new(modality.clone(), &mut vs, move |input, _train| {
        let features = encoder.forward(input).relu();
        let logits = head.forward(&features);
        (features, logits)
    });
    Ok((teacher, score))
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
