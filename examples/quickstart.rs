//! A two-encoder tch model that adopts G²D; the lines between the `g2d` markers are what it takes.
//!
//! Modality `b` carries the answer plainly, modality `a` hides it: joint training would live on `b`.

use anyhow::Result;
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};
// g2d: begin
use g2d::prelude::*;
use g2d::{loss::Classification, schedule::Sequential, teacher::FrozenModel};
// g2d: end

/// The model as it was: two encoders and a head over both.
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
    fn fuse(&self, features: &[Tensor], _train: bool) -> g2d::Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}
// g2d: end

/// A unimodal model, trained as ever.
fn unimodal(vs: &nn::VarStore, m: usize, data: &[Sample]) -> Result<(nn::Linear, nn::Linear)> {
    let encoder = nn::linear(vs.root() / "encoder", 16, 8, Default::default());
    let head = nn::linear(vs.root() / "head", 8, 4, Default::default());
    let mut optimizer = nn::Sgd::default().build(vs, 0.1)?;
    for _ in 0..5 {
        for (inputs, labels) in data {
            let logits = head.forward(&encoder.forward(&inputs[m]).relu());
            optimizer.backward_step(&logits.cross_entropy_for_logits(labels));
        }
    }
    Ok((encoder, head))
}

fn main() -> Result<()> {
    tch::manual_seed(1);
    let epochs = if std::env::args().any(|a| a == "--smoke") { 2 } else { 10 };
    let data: Vec<_> = (0..40).map(|_| sample()).collect();

    let vs = nn::VarStore::new(Device::Cpu);
    let model = Model::new(&vs);
    let mut optimizer = nn::Sgd::default().build(&vs, 0.1)?;

    // g2d: begin
    let teacher = |m: usize, name: &str| -> Result<FrozenModel> {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let (encoder, head) = unimodal(&vs, m, &data)?;
        Ok(FrozenModel::new(name, &mut vs, move |input, _train| {
            let features = encoder.forward(input).relu();
            let logits = head.forward(&features);
            (features, logits)
        }))
    };
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_name(&vs, model.modalities())?)
        .teacher(teacher(0, "a")?)
        .teacher(teacher(1, "b")?)
        .scheduler(Sequential::new([epochs / 2]))
        .build(&model)?;
    // g2d: end

    for epoch in 0..epochs {
        for (inputs, labels) in &data {
            optimizer.zero_grad();
            let batch =
                Batch::new(inputs.each_ref().map(Tensor::shallow_clone), labels.shallow_clone());
            trainer.step(&model, &batch)?;
            optimizer.step();
        }
        let report = trainer.end_epoch()?;
        println!("epoch {epoch}: loss {:.3}, κ {:?}", report.terms.total, report.kappa);
    }
    Ok(())
}

type Sample = ([Tensor; 2], Tensor);

/// 32 samples of four classes: plain in `b`, under noise in `a`.
fn sample() -> Sample {
    let labels = Tensor::randint(4, [32], (Kind::Int64, Device::Cpu));
    let plain = labels.one_hot(4).to_kind(Kind::Float).repeat([1, 4]);
    let noisy = &plain + 2.0 * Tensor::randn_like(&plain);
    ([noisy, plain], labels)
}
