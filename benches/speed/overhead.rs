//! The trainer's own time: a step of tiny linear models by the trainer, less the same step by hand.

use std::time::Instant;

use anyhow::Result;
use g2d::{
    Batch, Features, G2dTrainer, Modality, ModalityParams, Student, Teacher, TeacherOutput,
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    teacher::{Cached, FrozenModel},
};
use tch::{
    Device, Kind, Reduction, Tensor,
    nn::{self, Module},
};

use crate::{
    results::{BenchmarkResults, number, print_table},
    rounds::quantile,
    steps::TrainingPhase,
};

const WIDTH: i64 = 8;
const CLASSES: i64 = 4;
const ROWS: i64 = 16;
const WARM_UP: usize = 20;

/// Measures the own time by number of modalities and adds its ratios; `plain` is the duration of the
/// plain CREMA-D step in seconds.
pub fn measure(results: &mut BenchmarkResults, smoke: bool, plain: f64) -> Result<()> {
    let (ks, steps): (&[usize], _) =
        if smoke { (&[2, 3], 3) } else { (&[2, 3, 4, 5, 6, 7, 8], 400) };
    let (mut rows, mut own) = (Vec::new(), Vec::new());
    for &k in ks {
        let [joint_by_hand, joint] = microseconds(k, TrainingPhase::Joint, steps)?;
        let [by_hand, suppressed] = microseconds(k, TrainingPhase::Suppressed, steps)?;
        let (joint_own, suppressed_own) = (joint - joint_by_hand, suppressed - by_hand);
        own.push((k as f64, joint_own));
        let cells = [joint_by_hand, joint, joint_own, by_hand, suppressed, suppressed_own];
        rows.push(std::iter::once(k.to_string()).chain(cells.map(number)).collect());
    }
    print_table(
        "Step time of tiny models in µs, by hand and by the trainer",
        &["k", "joint by hand", "joint", "own", "suppressed by hand", "suppressed", "own"],
        rows,
    );
    let ((k_first, first), (k_last, last)) = (own[0], own[own.len() - 1]);
    results.add("own_overhead", first * 1e-6 / plain);
    // 1 if the own time is proportional to k.
    results.add("own_overhead_growth", (last / first) / (k_last / k_first));
    Ok(())
}

/// k linear encoders and a linear head.
struct LinearStudent {
    names: Vec<Modality>,
    encoders: Vec<nn::Linear>,
    head: nn::Linear,
}

impl LinearStudent {
    fn new(vs: &nn::VarStore, k: usize) -> Self {
        let linear = |name: &str, input, output| {
            nn::linear(vs.root() / name, input, output, Default::default())
        };
        let names = Modality::list((0..k).map(|m| format!("m{m}")));
        let encoders = names.iter().map(|name| linear(name.name(), WIDTH, WIDTH)).collect();
        Self { encoders, head: linear("head", WIDTH * k as i64, CLASSES), names }
    }
}

impl Student for LinearStudent {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> g2d::Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)))
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> g2d::Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

/// The median microseconds of a step with k modalities, by hand and by the trainer, with the same
/// forward pass, the same loss of 2k + 1 terms and the same optimizer.
fn microseconds(k: usize, phase: TrainingPhase, steps: usize) -> Result<[f64; 2]> {
    let vs = nn::VarStore::new(Device::Cpu);
    let student = LinearStudent::new(&vs, k);
    let mut optimizer =
        Optimizer::builder(&vs, SgdConfig { momentum: 0.9, ..Default::default() }).build()?;
    let options = (Kind::Float, Device::Cpu);
    let inputs: Vec<_> = (0..k).map(|_| Tensor::randn([ROWS, WIDTH], options)).collect();
    let labels = Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let batch = Batch::new(inputs, labels).with_ids((0..ROWS).collect::<Vec<_>>());

    let mut builder = phase.schedule(
        G2dTrainer::builder(Classification::default())
            .encoders(ModalityParams::by_name(&vs, &student.names)?),
    );
    let mut outputs: Vec<TeacherOutput> = Vec::new();
    for (m, name) in student.names.iter().enumerate() {
        let mut own = nn::VarStore::new(Device::Cpu);
        let head = nn::linear(own.root(), WIDTH, CLASSES, Default::default());
        let live = FrozenModel::new(name.clone(), &mut own, move |input, _| {
            (input.first().shallow_clone(), head.forward(input))
        });
        let cached = Cached::record(&live, m, [batch.to_device(Device::Cpu)])?;
        outputs.push(cached.output(m, &batch)?);
        builder = builder.teacher(cached);
    }
    let mut trainer = builder.build(&student)?;

    let (mut by_hand, mut by_trainer) = (Vec::new(), Vec::new());
    for i in 0..steps + WARM_UP {
        let start = Instant::now();
        optimizer.zero_grad()?;
        loss_by_hand(&student, &batch, &outputs, phase)?.backward();
        optimizer.step()?;
        let middle = Instant::now();
        optimizer.zero_grad()?;
        trainer.step(&student, &batch)?;
        optimizer.step()?;
        if i >= WARM_UP {
            by_hand.push((middle - start).as_secs_f64() * 1e6);
            by_trainer.push(middle.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok([by_hand, by_trainer].map(|times| quantile(times, 0.5)))
}

/// L_G2D by hand. In the suppressed phase all encoders but the first run without gradient.
fn loss_by_hand(
    student: &LinearStudent,
    batch: &Batch,
    outputs: &[TeacherOutput],
    phase: TrainingPhase,
) -> Result<Tensor> {
    let encode = |m| {
        let _guard = (phase == TrainingPhase::Suppressed && m > 0).then(tch::no_grad_guard);
        student.encode(m, batch, true)
    };
    let features = (0..outputs.len()).map(encode).collect::<g2d::Result<Vec<_>>>()?;
    let logits = student.fuse(&Features::new(&features, batch)?, true)?;
    let (targets, none) = (batch.targets(), None::<Tensor>);
    let mut loss = logits.cross_entropy_loss(targets, none, Reduction::Mean, -100, 0.0);
    for (output, features) in outputs.iter().zip(&features) {
        let (log_t, log_s) = (output.logits.log_softmax(-1, None), logits.log_softmax(-1, None));
        loss += features.mse_loss(&output.features, Reduction::Mean);
        loss += log_s.kl_div(&log_t, Reduction::Sum, true) / ROWS as f64;
    }
    Ok(loss)
}
