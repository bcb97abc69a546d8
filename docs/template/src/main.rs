//! A model of two modalities, its teachers and its training loop. Copy this folder and replace model
//! and data with your own.
//!
//! The data are generated: `video` encodes the label without noise, `audio` with noise.

use g2d::prelude::*;

use g2d::{loss::Classification, schedule::Sequential, teacher::FrozenModel};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT, nn::OptimizerConfig};

const CLASSES: i64 = 4;
const INPUT: i64 = 16;
const WIDTH: i64 = 8;

struct Model {
    names: Vec<Modality>,
    audio: nn::SequentialT,
    video: nn::SequentialT,
    head: nn::Linear,
}

impl Student for Model {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> g2d::Result<Tensor> {
        let encoder = if m == 0 { &self.audio } else { &self.video };
        Ok(encoder.forward_t(batch.input(m), train))
    }
    fn fuse(&self, features: &Features<'_>, _train: bool) -> g2d::Result<Tensor> {
        Ok(Tensor::f_cat(features, 1)?.apply(&self.head))
    }
}

impl Model {
    fn new(vs: &nn::VarStore) -> Self {
        let root = vs.root();
        Self {
            names: Modality::list(["audio", "video"]),
            audio: encoder(&root / "audio_net"),
            video: encoder(&root / "video_net"),
            head: nn::linear(&root / "head", 2 * WIDTH, CLASSES, Default::default()),
        }
    }
}

fn encoder(path: nn::Path<'_>) -> nn::SequentialT {
    nn::seq_t().add(nn::linear(path, INPUT, WIDTH, Default::default())).add_fn(|x| x.relu())
}

fn train(
    model: &dyn Student,
    vs: &nn::VarStore,
    audio_teacher: FrozenModel,
    video_teacher: FrozenModel,
    mut optimizer: nn::Optimizer,
    loader: impl Fn() -> Vec<Batch>,
) -> g2d::Result<()> {
    let mut trainer = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_prefix(vs, [("audio", "audio_net"), ("video", "video_net")])?)
        .teacher(audio_teacher)
        .teacher(video_teacher)
        .scheduler(Sequential::new([150])) // for 150 epochs only the weaker encoder learns
        .build(model)?; // checks the whole configuration
    for _epoch in 0..300 {
        for batch in loader() {
            let _report = trainer.step(model, &batch)?; // teachers, plan, forward, loss, backward
            trainer.update(&mut optimizer)?; // steps the optimizer, zeroes the gradients
        }
        let _means = trainer.end_epoch()?;
    }
    Ok(())
}

/// Trains a model on modality `m` alone. In your program, load the teachers from files.
fn teacher(name: &str, m: usize, data: &[Batch]) -> g2d::Result<FrozenModel> {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let net = encoder(vs.root() / "net");
    let head = nn::linear(vs.root() / "head", WIDTH, CLASSES, Default::default());
    let mut optimizer = nn::Sgd::default().build(&vs, 0.1)?;
    for batch in data.iter().cycle().take(40) {
        let logits = net.forward_t(batch.input(m), true).apply(&head);
        optimizer.backward_step(&logits.cross_entropy_for_logits(batch.targets()));
    }
    Ok(FrozenModel::new(name, &mut vs, move |input, train| {
        let features = net.forward_t(input, train);
        let logits = features.apply(&head);
        (features, logits)
    }))
}

/// Generates 32 samples; equal seeds give equal samples.
fn sample(seed: i64) -> Batch {
    tch::manual_seed(seed);
    let labels = Tensor::randint(CLASSES, [32], (Kind::Int64, Device::Cpu));
    let plain = labels.one_hot(CLASSES).to_kind(Kind::Float).repeat([1, INPUT / CLASSES]);
    let noisy = &plain + 2.0 * plain.randn_like();
    Batch::new([noisy, plain], labels)
}

fn main() -> g2d::Result<()> {
    g2d::allocator::tune();
    let loader = || (1..=4).map(sample).collect();
    let data: Vec<Batch> = loader();
    tch::manual_seed(0);
    let vs = nn::VarStore::new(Device::Cpu);
    let model = Model::new(&vs);
    let optimizer = nn::Sgd::default().build(&vs, 0.05)?;
    train(
        &model,
        &vs,
        teacher("audio", 0, &data)?,
        teacher("video", 1, &data)?,
        optimizer,
        loader,
    )?;

    let unseen = g2d::evaluate(&model, [Ok(sample(100))])?;
    println!("accuracy on unseen samples: {:.1} %", 100.0 * unseen.accuracy()?);
    Ok(())
}
