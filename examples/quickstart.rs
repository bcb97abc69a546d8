//! A tch model of two encoders, trained with G²D. The lines between `g2d` markers are those that G²D
//! adds to the program.
//!
//! Modality `b` shows the class clearly, modality `a` shows it under noise: joint training would mainly
//! learn from `b`.

use anyhow::Result;
use tch::{
    Device, Kind, Tensor,
    nn::{self, Module, OptimizerConfig},
};
// g2d: begin
use g2d::prelude::*;
use g2d::{loss::Classification, schedule::Sequential, teacher::FrozenModel};
// g2d: end

/// The student: an encoder per modality, and a head over both features.
struct Model {
    encoders: [nn::Linear; 2],
    head: nn::Linear,
    // g2d: begin
    names: Vec<Modality>,
    // g2d: end
}

impl Model {
    fn new(vs: &nn::VarStore) -> Self {
        let encoder = |name| nn::linear(vs.root() / name, 16, 8, Default::default());
        Self {
            encoders: [encoder("a"), encoder("b")],
            head: nn::linear(vs.root() / "head", 16, 4, Default::default()),
            // g2d: begin
            names: Modality::list(["a", "b"]),
            // g2d: end
        }
    }
}

// g2d: begin
impl Student for Model {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }
    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> g2d::Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)).relu())
    }
    fn fuse(&self, features: &Features<'_>, _train: bool) -> g2d::Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}
// g2d: end

/// A model of one modality: an encoder and a head.
struct Unimodal {
    encoder: nn::Linear,
    head: nn::Linear,
}

impl Unimodal {
    /// Trains a model of modality `m` in the usual way.
    fn train(vs: &nn::VarStore, m: usize, data: &[Samples]) -> Result<Self> {
        let encoder = nn::linear(vs.root() / "encoder", 16, 8, Default::default());
        let head = nn::linear(vs.root() / "head", 8, 4, Default::default());
        let model = Self { encoder, head };
        let mut optimizer = nn::Sgd::default().build(vs, 0.1)?;
        for (inputs, labels) in data.iter().cycle().take(5 * data.len()) {
            let (_, logits) = model.forward(&inputs[m]);
            optimizer.backward_step(&logits.cross_entropy_for_logits(labels));
        }
        Ok(model)
    }

    /// Features and logits.
    fn forward(&self, input: &Tensor) -> (Tensor, Tensor) {
        let features = self.encoder.forward(input).relu();
        let logits = self.head.forward(&features);
        (features, logits)
    }
}

fn main() -> Result<()> {
    tch::manual_seed(1);
    let epochs = if std::env::args().any(|arg| arg == "--smoke") { 2 } else { 10 };
    let data: Vec<_> = (0..40).map(|_| draw()).collect();

    let vs = nn::VarStore::new(Device::Cpu);
    let model = Model::new(&vs);
    let mut optimizer = nn::Sgd::default().build(&vs, 0.1)?;

    // g2d: begin
    let teacher = |name: &str, m: usize| -> Result<FrozenModel> {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let model = Unimodal::train(&vs, m, &data)?;
        Ok(FrozenModel::new(name, &mut vs, move |input, _train| model.forward(input)))
    };
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_name(&vs, model.modalities())?)
        .teacher(teacher("a", 0)?)
        .teacher(teacher("b", 1)?)
        .scheduler(Sequential::new([epochs / 2])) // the weaker encoder alone, then both
        .build(&model)?;
    // g2d: end

    for epoch in 0..epochs {
        for ([a, b], labels) in &data {
            optimizer.zero_grad();
            // g2d: begin
            let batch = Batch::new([a.shallow_clone(), b.shallow_clone()], labels.shallow_clone());
            trainer.step(&model, &batch)?; // forward, L_G2D, backward
            // g2d: end
            optimizer.step();
        }
        // g2d: begin
        let report = trainer.end_epoch()?;
        // g2d: end
        println!("epoch {epoch}: loss {:.3}, κ {:?}", report.terms.total, report.kappa);
    }
    Ok(())
}

/// The inputs of modalities `a` and `b`, and labels, of 32 samples.
type Samples = ([Tensor; 2], Tensor);

/// Draws 32 samples of four classes.
fn draw() -> Samples {
    let labels = Tensor::randint(4, [32], (Kind::Int64, Device::Cpu));
    let clear = labels.one_hot(4).to_kind(Kind::Float).repeat([1, 4]);
    let noisy = &clear + 2.0 * Tensor::randn_like(&clear);
    ([noisy, clear], labels)
}
