//! A model so small that a step is all overhead.

use std::time::Instant;

use anyhow::Result;
use g2d::{
    Batch, G2dTrainer, Modality, ModalityParams, Student, Teacher, TeacherOutput,
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    schedule::Sequential,
    teacher::{Cached, FrozenModel},
};
use tch::{
    Device, Kind, Reduction, Tensor,
    nn::{self, Module},
};

use crate::{ours::Phase, rounds::quantile};

const WIDTH: i64 = 8;
const CLASSES: i64 = 4;
const ROWS: i64 = 16;

/// k linear encoders and a head.
struct Tiny {
    names: Vec<Modality>,
    encoders: Vec<nn::Linear>,
    head: nn::Linear,
}

impl Student for Tiny {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> g2d::Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)))
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> g2d::Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

/// Median microseconds of a step with k modalities by hand and by the trainer: the same forward, the
/// same loss with its k feature and k logit terms, the same optimizer.
pub fn microseconds(k: usize, phase: Phase, steps: usize) -> Result<[f64; 2]> {
    let vs = nn::VarStore::new(Device::Cpu);
    let names = Modality::list((0..k).map(|m| format!("m{m}")));
    let linear =
        |name: &str, input, output| nn::linear(vs.root() / name, input, output, Default::default());
    let encoders = names.iter().map(|name| linear(name.name(), WIDTH, WIDTH)).collect();
    let student = Tiny { encoders, head: linear("head", WIDTH * k as i64, CLASSES), names };
    let mut optimizer =
        Optimizer::builder(&vs, SgdConfig { momentum: 0.9, ..Default::default() }).build()?;
    let options = (Kind::Float, Device::Cpu);
    let inputs: Vec<_> = (0..k).map(|_| Tensor::randn([ROWS, WIDTH], options)).collect();
    let labels = Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let batch = Batch::new(inputs, labels).with_ids((0..ROWS).collect::<Vec<_>>());

    let mut builder = G2dTrainer::builder(Classification::default())
        .encoders(ModalityParams::by_name(&vs, &student.names)?);
    if phase == Phase::Suppressed {
        builder = builder.scheduler(Sequential::new([1]));
    }
    let mut answers: Vec<TeacherOutput> = Vec::new();
    for (m, name) in student.names.iter().enumerate() {
        let mut own = nn::VarStore::new(Device::Cpu);
        let head = nn::linear(own.root(), WIDTH, CLASSES, Default::default());
        let live = FrozenModel::new(name.clone(), &mut own, move |input, _| {
            (input.shallow_clone(), head.forward(input))
        });
        let all = [batch.to_device(Device::Cpu)];
        let cached = Cached::record(&live, m, all)?;
        answers.push(cached.output(m, &batch)?);
        builder = builder.teacher(cached);
    }
    let mut trainer = builder.build(&student)?;

    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for i in 0..steps + 20 {
        let start = Instant::now();
        optimizer.zero_grad()?;
        by_hand(&student, &batch, &answers, phase)?.backward();
        optimizer.step()?;
        let middle = Instant::now();
        optimizer.zero_grad()?;
        trainer.step(&student, &batch)?;
        optimizer.step()?;
        if i >= 20 {
            plain.push((middle - start).as_secs_f64() * 1e6);
            ours.push(middle.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok([plain, ours].map(|times| quantile(times, 0.5)))
}

/// L_G2D by hand; suppressed, all encoders but one run without gradient.
fn by_hand(
    student: &Tiny,
    batch: &Batch,
    answers: &[TeacherOutput],
    phase: Phase,
) -> Result<Tensor> {
    let encode = |m| {
        let _guard = (phase == Phase::Suppressed && m > 0).then(tch::no_grad_guard);
        student.encode(m, batch, true)
    };
    let features = (0..answers.len()).map(encode).collect::<g2d::Result<Vec<_>>>()?;
    let logits = student.fuse(&features, true)?;
    let (targets, none) = (batch.targets(), None::<Tensor>);
    let mut loss = logits.cross_entropy_loss(targets, none, Reduction::Mean, -100, 0.0);
    for (answer, features) in answers.iter().zip(&features) {
        let (log_t, log_s) = (answer.logits.log_softmax(-1, None), logits.log_softmax(-1, None));
        loss += features.mse_loss(&answer.features, Reduction::Mean);
        loss += log_s.kl_div(&log_t, Reduction::Sum, true) / ROWS as f64;
    }
    Ok(loss)
}
