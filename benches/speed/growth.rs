//! What a step costs as the work grows.

use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use g2d::{
    Batch, G2dTrainer, Modality,
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, Initialisation, UnimodalClassifier,
    },
    schedule::Sequential,
    teacher::Cached,
    trainer::{Precision, SuppressedMode},
};
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::{
    clock::Clock,
    memory::Measured,
    ours::{self, Phase},
    results::{Results, number},
    rounds::{Contestant, Rounds},
    setting::{Setting, Shape},
    tiny,
};

/// The trainer's own microseconds on a model that costs nothing, by number of modalities.
pub fn overhead(results: &mut Results, smoke: bool) -> Result<()> {
    let (ks, steps): (&[usize], _) =
        if smoke { (&[2, 3], 3) } else { (&[2, 3, 4, 5, 6, 7, 8], 400) };
    let (mut rows, mut own) = (Vec::new(), Vec::new());
    for &k in ks {
        let [plain, joint] = tiny::microseconds(k, Phase::Joint, steps)?;
        let [narrow, suppressed] = tiny::microseconds(k, Phase::Suppressed, steps)?;
        own.push((k as f64, joint - plain));
        let cells = [plain, joint, joint - plain, narrow, suppressed, suppressed - narrow];
        rows.push(std::iter::once(k.to_string()).chain(cells.map(number)).collect());
    }
    results.table(
        "Microseconds of a step of tiny models, the same loss by hand and by the trainer",
        &["k", "joint by hand", "joint", "own", "suppressed by hand", "suppressed", "own"],
        rows,
    );
    let share = |own: f64, seconds: f64| own * 1e-6 / seconds;
    results.put("own_overhead", share(own[0].1, results.step));
    // How much each modality adds, by the ends: as much as a modality costs of two if it is linear.
    let ((k0, first), (k1, last)) = (own[0], own[own.len() - 1]);
    results.put("own_overhead_growth", (last / first) / (k1 / k0));
    Ok(())
}

/// A step of k compact encoders on 28 × 28 inputs; suppressed, one of them learns.
pub fn many(k: usize, phase: Phase) -> Result<Contestant> {
    const ROWS: i64 = 16;
    let vs = VarStore::new(Device::Cpu);
    let modalities: Vec<_> = (0..k).map(|m| (Modality::new(format!("m{m}")), 1)).collect();
    let student = FusionClassifier::new(&vs, &modalities, 10, ClassifierConfig::default())?;
    let mut optimizer =
        Optimizer::builder(&vs, SgdConfig { momentum: 0.9, ..Default::default() }).build()?;
    let input = |_| Tensor::randn([ROWS, 1, 28, 28], (Kind::Float, Device::Cpu));
    let labels = Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(10);
    let batch = Batch::new((0..k).map(input).collect::<Vec<_>>(), labels)
        .with_ids((0..ROWS).collect::<Vec<_>>());
    let mut builder =
        G2dTrainer::builder(Classification::default()).encoders(student.encoder_params(&vs)?);
    for (m, (name, _)) in modalities.iter().enumerate() {
        let mut own = VarStore::new(Device::Cpu);
        let (backbone, init) = (Backbone::Compact, Initialisation::Tch);
        let net = UnimodalClassifier::new(&own, 1, 10, backbone, init)?;
        let live = net.into_teacher(name.clone(), &mut own);
        builder = builder.teacher(Cached::record(&live, m, [batch.to_device(Device::Cpu)])?);
    }
    if phase == Phase::Suppressed {
        builder = builder.scheduler(Sequential::new([1]));
    }
    let mut trainer = builder.build(&student)?;
    Ok(Box::new(move || {
        optimizer.zero_grad()?;
        trainer.step(&student, &batch)?;
        Ok(optimizer.step()?)
    }))
}

/// Step time and memory for k = 2…8 modalities.
pub fn modalities(results: &mut Results, threads: i32) -> Result<()> {
    let mut all = Rounds::new(Clock::Wall);
    for k in 2..=8 {
        all.add(format!("joint {k}"), many(k, Phase::Joint)?);
        all.add(format!("suppressed {k}"), many(k, Phase::Suppressed)?);
    }
    let times = all.run(30)?;
    let row = |k: i64| {
        let milliseconds = |name: &str| times.median(&format!("{name} {k}")) * 1e3;
        let mib = |name: &str| Measured::new(name, k).ask(threads);
        let cells = [milliseconds("joint"), milliseconds("suppressed")];
        let memory = [mib("k_joint")?, mib("k_suppressed")?];
        Ok([k.to_string()].into_iter().chain(cells.into_iter().chain(memory).map(number)).collect())
    };
    let rows = (2..=8).map(row).collect::<Result<_>>()?;
    let heads = ["k", "joint ms", "suppressed ms", "joint MiB", "suppressed MiB"];
    results.table("Steps of k compact encoders, 16 samples of 28 × 28", &heads, rows);
    Ok(())
}

/// Step time and memory of the CREMA-D networks by batch size.
pub fn batches(results: &mut Results, threads: i32) -> Result<()> {
    let (full, train) = (Precision::Full, SuppressedMode::Train);
    let mut rows = Vec::new();
    for batch in [4, 8, 16, 32] {
        let shape = Shape { batch, ..Shape::CREMAD };
        let setting = Rc::new(RefCell::new(Setting::new(shape, true)?));
        let mut all = Rounds::new(Clock::Wall);
        for (name, phase) in [("joint", Phase::Joint), ("suppressed", Phase::Suppressed)] {
            let cached = setting.borrow().cached();
            all.add(name, ours::g2d(&setting, cached, phase, full, train)?);
        }
        let times = all.run(3)?;
        let mib = |name: &str| Measured::new(name, batch).ask(threads);
        let cells = [
            times.median("joint") * 1e3 / batch as f64,
            times.median("suppressed") * 1e3 / batch as f64,
            mib("joint")?,
            mib("suppressed")?,
        ];
        rows.push([batch.to_string()].into_iter().chain(cells.map(number)).collect());
    }
    let heads =
        ["batch", "joint ms a sample", "suppressed ms a sample", "joint MiB", "suppressed MiB"];
    results.table("Steps of the CREMA-D networks by batch size", &heads, rows);
    Ok(())
}
