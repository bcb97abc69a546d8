//! The main paths on a GPU. Skipped, with a message, if there is none.

mod support;

use std::{path::Path, sync::Once};

use g2d::{
    Batch, Error, Features, G2dTrainer, Modality, ModalityParams, Result, Student, Teacher,
    checkpoint::{RunParts, Snapshot, SnapshotFolder},
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    schedule::Sequential,
    step::{NonFiniteSource, SkipCause},
    teacher::{
        Cached, FrozenModel,
        cache::{self, Digest, Storage},
    },
    trainer::{Builder, NonFinite, Precision},
};
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};

use support::{fill, in_own_process, with_nan_input};

static SKIPPED: Once = Once::new();

const INPUT: i64 = 6;
const WIDTH: i64 = 4;
const CLASSES: i64 = 3;
const ROWS: i64 = 8;

struct TwoLinear {
    vs: nn::VarStore,
    names: Vec<Modality>,
    encoders: Vec<nn::Linear>,
    head: nn::Linear,
}

impl TwoLinear {
    fn new(device: Device) -> Self {
        let vs = nn::VarStore::new(device);
        let encoder = |m| nn::linear(vs.root() / m, INPUT, WIDTH, Default::default());
        let encoders = vec![encoder("m0"), encoder("m1")];
        let head = nn::linear(vs.root() / "head", 2 * WIDTH, CLASSES, Default::default());
        fill(&vs, 0.1);
        Self { vs, names: Modality::list(["m0", "m1"]), encoders, head }
    }

    fn trainer(&self, cached: bool) -> G2dTrainer {
        self.trainer_with(cached, |builder| builder)
    }

    fn trainer_with(&self, cached: bool, configure: impl Fn(Builder) -> Builder) -> G2dTrainer {
        let params = ModalityParams::by_name(&self.vs, &self.names).unwrap();
        let mut builder = G2dTrainer::builder(Classification::default())
            .encoders(params)
            .scheduler(Sequential::new([1]));
        for m in 0..2 {
            let live = teacher(m, self.vs.device());
            builder = match cached {
                false => builder.teacher(live),
                true => {
                    let all = [Ok(batch(self.vs.device(), 0))];
                    builder.teacher(Cached::record(&live, m, all).unwrap())
                }
            };
        }
        configure(builder).build(self).unwrap()
    }
}

impl Student for TwoLinear {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)).tanh())
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

fn wave(phase: f64, shape: &[i64]) -> Tensor {
    support::wave(phase, shape).to_kind(Kind::Float)
}

fn teacher(m: usize, device: Device) -> FrozenModel {
    let mut vs = nn::VarStore::new(device);
    let net = nn::linear(vs.root() / "net", INPUT, WIDTH, Default::default());
    let head = nn::linear(vs.root() / "classifier", WIDTH, CLASSES, Default::default());
    fill(&vs, 1.0 + m as f64);
    FrozenModel::new(format!("m{m}"), &mut vs, move |input, _train| {
        let features = net.forward(input).relu();
        let logits = head.forward(&features);
        (features, logits)
    })
}

/// A batch with the labels 0, 1, 2, 0, …, plus `shift`.
fn batch(device: Device, shift: i64) -> Batch {
    let labels = Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(CLASSES) + shift;
    let inputs = [wave(0.5, &[ROWS, INPUT]), wave(2.5, &[ROWS, INPUT])];
    let ids: Vec<i64> = (0..ROWS).collect();
    Batch::new(inputs, labels).with_ids(ids).to_device(device).unwrap()
}

/// The GPU; `None`, with a message, if there is none.
fn gpu() -> Option<Device> {
    if tch::Cuda::is_available() {
        return Some(Device::Cuda(0));
    }
    SKIPPED.call_once(|| support::skipped("no CUDA device"));
    None
}

/// The losses of a suppressed epoch and a joint epoch of three steps each.
fn losses(device: Device, cached: bool) -> Vec<f64> {
    let student = TwoLinear::new(device);
    let mut trainer = student.trainer(cached);
    let sgd = nn::Sgd { momentum: 0.9, dampening: 0.0, wd: 0.01, nesterov: false };
    let mut optimizer = sgd.build(&student.vs, 0.05).unwrap();
    let mut losses = Vec::new();
    for epoch in 0..2 {
        for _ in 0..3 {
            let before: Vec<_> = student.encoders.iter().map(|e| e.ws.detach().copy()).collect();
            optimizer.zero_grad();
            let report = trainer.step(&student, &batch(device, 0)).unwrap();
            optimizer.step();
            assert_eq!(report.terms.total.device(), device, "the report stays on the device");
            for (m, before) in before.iter().enumerate() {
                let unchanged = student.encoders[m].ws.equal(before);
                assert_eq!(unchanged, report.plan.suppresses(m));
            }
            assert_eq!(report.plan.is_joint(), epoch == 1);
            losses.push(report.read().unwrap().terms.total);
        }
        assert!(trainer.end_epoch().unwrap().terms.total.is_finite());
    }
    losses
}

#[test]
fn losses_agree_with_the_cpu() {
    let Some(device) = gpu() else { return };
    let expected = losses(Device::Cpu, false);
    for cached in [false, true] {
        for (found, expected) in losses(device, cached).iter().zip(&expected) {
            approx::assert_relative_eq!(*found, *expected, max_relative = 1e-4);
        }
    }
}

/// Labels are not checked on the host: the loss is NaN, which the deferred finite check finds.
#[test]
fn an_invalid_label_is_an_error_at_the_end_of_the_epoch() {
    let Some(device) = gpu() else { return };
    for shift in [-1, 1] {
        let student = TwoLinear::new(device);
        let mut trainer = student.trainer(true);
        trainer.step(&student, &batch(device, 0)).unwrap();
        trainer.step(&student, &batch(device, shift)).unwrap();
        let error = trainer.end_epoch().unwrap_err();
        assert!(matches!(error, Error::NonFinite(_)), "{error}");
        assert!(error.to_string().contains("epoch 0, step 1"), "{error}");
    }
}

/// The deferred finite check names the first step with a NaN loss.
#[test]
fn later_steps_do_not_hide_an_invalid_label() {
    let Some(device) = gpu() else { return };
    let student = TwoLinear::new(device);
    let mut trainer = student.trainer(true);
    let mut found = Ok(());
    for shift in [0, 1, 0, 0] {
        found = found.and(trainer.step(&student, &batch(device, shift)).map(drop));
    }
    let error = found.and(trainer.end_epoch().map(drop)).unwrap_err();
    assert!(matches!(error, Error::NonFinite(_)), "{error}");
    assert!(error.to_string().contains("epoch 0, step 1"), "{error}");
}

#[test]
fn a_batch_on_another_device_is_refused() {
    let Some(device) = gpu() else { return };
    let student = TwoLinear::new(device);
    let error = student.trainer(false).step(&student, &batch(Device::Cpu, 0)).unwrap_err();
    assert!(matches!(error, Error::Device(_)), "{error}");
    for word in ["Cuda(0)", "Cpu", "Batch::to_device"] {
        assert!(error.to_string().contains(word), "{word:?} is missing in: {error}");
    }
}

/// Rows are looked up on the host and copied to the device; the output keeps a host copy.
#[test]
fn a_cache_file_returns_outputs_on_the_device() {
    let Some(device) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let identity =
        cache::Identity::new("m0", Digest::from_parts(["weights"]), Digest::from_parts(["data"]));
    let live = teacher(0, device);
    for storage in [Storage::Full, Storage::Half] {
        let file =
            cache::OutputFile::new(folder.path().join(format!("{storage:?}")), identity.clone());
        let all = [Ok(batch(device, 0))];
        let file = file.storage(storage).open_or_record(device, &live, 0, all).unwrap();
        let found = file.output(0, &batch(device, 0)).unwrap();
        let expected = live.output(0, &batch(device, 0)).unwrap();
        assert_eq!((found.features.device(), found.logits.device()), (device, device));
        assert!(found.features.allclose(&expected.features, 1e-3, 1e-6, false));
        assert!(found.logits.equal(&expected.logits));
        assert!(found.host.unwrap().logits.equal(&expected.logits.to_device(Device::Cpu)));
    }
}

/// The gradient of the head after an accumulation window of two micro-batches.
fn gradient(device: Device, precision: Precision) -> Tensor {
    let student = TwoLinear::new(device);
    let configure = |builder: Builder| builder.precision(precision).accumulate(2);
    let mut trainer = student.trainer_with(false, configure);
    for ready in [false, true] {
        let report = trainer.step(&student, &batch(device, 0)).unwrap();
        assert_eq!(report.outcome.is_ready(), ready, "{precision:?}: {:?}", report.outcome);
        assert_eq!(report.terms.total.kind(), Kind::Float);
        assert_eq!(report.logits.kind(), Kind::Float);
    }
    student.head.ws.grad().to_device(Device::Cpu)
}

#[test]
fn gradients_in_mixed_precision_are_close_to_the_cpu() {
    let Some(device) = gpu() else { return };
    let expected = gradient(Device::Cpu, Precision::Full);
    for (precision, bound) in
        [(Precision::Full, 1e-4), (Precision::Bf16, 0.05), (Precision::Fp16, 0.05)]
    {
        let error = (gradient(device, precision) - &expected).norm() / expected.norm();
        let error = error.double_value(&[]);
        assert!(error < bound, "{precision:?} has a relative error of {error}");
    }
}

/// With `NonFinite::Skip` the loss is checked after backward, and the step is undone.
#[test]
fn a_step_with_nan_is_skipped_with_its_source() {
    let Some(device) = gpu() else { return };
    for precision in [Precision::Full, Precision::Fp16] {
        let student = TwoLinear::new(device);
        let configure = |builder: Builder| builder.precision(precision).non_finite(NonFinite::Skip);
        let mut trainer = student.trainer_with(true, configure);
        let good = batch(device, 0);
        let bad = with_nan_input(&good, 0).with_ids(good.ids().unwrap());
        let report = trainer.step(&student, &bad).unwrap();
        let source = NonFiniteSource::Input(student.names[0].clone());
        assert_eq!(report.outcome.skipped(), Some(&SkipCause::NonFinite(source)));
        assert!(student.vs.trainable_variables().iter().all(|t| !t.grad().defined()));
        assert!(trainer.step(&student, &good).unwrap().outcome.is_ready());
        let epoch = trainer.end_epoch().unwrap();
        assert_eq!((epoch.steps, epoch.skipped), (2, 1));
        assert!(epoch.terms.total.is_finite());
    }
}

/// The asynchronous copy is complete, and the batch on the host is unchanged.
#[test]
fn a_batch_is_copied_to_the_device() {
    let Some(device) = gpu() else { return };
    let here = batch(Device::Cpu, 0);
    let there = here.to_device(device).unwrap();
    assert_eq!(there.device(), device);
    assert_eq!(there.ids(), here.ids());
    for (here, there) in here.inputs().iter().zip(there.inputs()) {
        assert!(there.to_device(Device::Cpu).equal(here));
    }
    assert!(there.targets().to_device(Device::Cpu).equal(here.targets()));
}

#[test]
fn a_convolution_with_channels_last_weights_has_the_same_output() {
    let Some(device) = gpu() else { return };
    let outputs = [false, true].map(|last| {
        let vs = nn::VarStore::new(device);
        let conv = nn::conv2d(vs.root() / "conv", 8, 16, 3, Default::default());
        if last {
            g2d::weights::channels_last(&vs).unwrap();
        }
        fill(&vs, 0.3);
        let output = conv.forward(&wave(0.1, &[2, 8, 12, 12]).to_device(device));
        assert_eq!(output.stride()[1], if last { 1 } else { 100 });
        output
    });
    assert!(outputs[0].allclose(&outputs[1], 1e-2, 1e-3, false));
}

/// The indices of the present rows and ρ of cached teachers are copied to the device.
#[test]
fn a_step_with_missing_modalities_agrees_with_the_cpu() {
    let Some(device) = gpu() else { return };
    let values = [Device::Cpu, device].map(|device| {
        let student = TwoLinear::new(device);
        let mut trainer = student.trainer(true);
        let present: Vec<bool> = (0..ROWS).map(|row| row % 3 != 0).collect();
        let batch = batch(device, 0).with_present(1, present);
        let report = trainer.step(&student, &batch).unwrap();
        assert!(report.confidence.iter().flatten().all(|rho| rho.device() == device));
        report.read().unwrap()
    });
    assert!((values[0].terms.total - values[1].terms.total).abs() < 1e-4);
    for (here, there) in values[0].confidence.iter().zip(&values[1].confidence) {
        assert!((here.unwrap() - there.unwrap()).abs() < 1e-6);
    }
}

/// Trains for `steps` from the start or from a snapshot. Returns a snapshot, the weights of the head,
/// and the next values of the device's random generator.
fn resumed(
    device: Device,
    from: Option<&Snapshot>,
    folder: &Path,
    steps: u64,
) -> (Snapshot, Tensor, Tensor) {
    let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 0.01, ..Default::default() };
    let student = TwoLinear::new(device);
    let mut trainer = student.trainer(false);
    let mut optimizer = Optimizer::builder(&student.vs, sgd).build().unwrap();
    if let Some(snapshot) = from {
        let mut parts = RunParts::new(&mut trainer)
            .weights("student", &student.vs)
            .optimizer("sgd", &mut optimizer);
        snapshot.load::<()>(&mut parts).unwrap();
    }
    for _ in 0..steps {
        optimizer.zero_grad().unwrap();
        trainer.step(&student, &batch(device, 0)).unwrap();
        optimizer.clip_grad_norm(1.0).unwrap();
        optimizer.step().unwrap();
    }
    let mut checkpoints = SnapshotFolder::open(folder).unwrap();
    let mut parts = RunParts::new(&mut trainer)
        .weights("student", &student.vs)
        .optimizer("sgd", &mut optimizer);
    let snapshot = checkpoints.save(&mut parts, &(), None).unwrap().clone();
    let weights = student.head.ws.detach().to_device(Device::Cpu).copy();
    (snapshot, weights, Tensor::rand([4], (Kind::Float, device)).to_device(Device::Cpu))
}

/// Momentum and the trainer's state are restored, also on another device.
#[test]
fn a_run_resumes_from_a_snapshot_on_any_device() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let devices: Vec<Device> = std::iter::once(Device::Cpu).chain(gpu()).collect();
    let (_, expected, _) = resumed(Device::Cpu, None, &at("whole"), 8);
    for (i, &first) in devices.iter().enumerate() {
        for (j, &second) in devices.iter().enumerate() {
            let (half, ..) = resumed(first, None, &at(&format!("{i}{j}a")), 4);
            let (_, found, _) = resumed(second, Some(&half), &at(&format!("{i}{j}b")), 4);
            assert!(found.allclose(&expected, 1e-4, 1e-6, false), "{first:?} to {second:?}");
        }
    }
}

#[test]
fn the_random_generator_of_the_device_is_restored_from_a_snapshot() {
    let Some(device) = gpu() else { return };
    if !in_own_process("the_random_generator_of_the_device_is_restored_from_a_snapshot") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (snapshot, _, drawn) = resumed(device, None, &at("random"), 1);
    let (_, _, again) = resumed(device, Some(&snapshot), &at("again"), 0);
    assert!(drawn.equal(&again), "the random generator of the device is not restored");
}

/// The loss of three steps of the ranks of `devices`, each with an equal part of the batch, and the weights of
/// the head; or of one trainer without a group.
#[cfg(feature = "distributed")]
fn over_nccl(devices: i64) -> Vec<(Vec<f64>, Tensor)> {
    use g2d::distributed::{Backend, GroupConfig, Reduction, in_threads};
    let config = GroupConfig { backend: Backend::Nccl, ..GroupConfig::default() };
    let found = in_threads(devices as usize, &config, |group| {
        let device = Device::Cuda(group.rank());
        let rank = group.rank() as i64;
        let sum = Tensor::from_slice(&[rank as f32 + 1.0]).to_device(device);
        group.all_reduce(&sum, Reduction::Sum)?;
        assert_eq!(sum.double_value(&[0]), (devices * (devices + 1) / 2) as f64);
        let student = TwoLinear::new(device);
        let mut trainer = student.trainer_with(false, |builder| builder.group(&group));
        let whole = batch(device, 0);
        let rows = ROWS / devices;
        let part = |tensor: &Tensor| tensor.narrow(0, rank * rows, rows);
        let own = Batch::new([part(whole.input(0)), part(whole.input(1))], part(whole.targets()));
        let mut optimizer = nn::Sgd::default().build(&student.vs, 0.05)?;
        let mut losses = Vec::new();
        for _ in 0..3 {
            optimizer.zero_grad();
            losses.push(trainer.step(&student, &own)?.read()?.terms.total);
            optimizer.step();
        }
        let epoch = trainer.end_epoch()?.terms.total;
        losses.push(epoch);
        group.barrier()?;
        Ok((losses, student.head.ws.detach().to_device(Device::Cpu).copy()))
    });
    found.unwrap().into_iter().map(|found| found.unwrap()).collect()
}

#[cfg(feature = "distributed")]
#[test]
fn ranks_over_nccl_train_as_one_device() {
    if gpu().is_none() {
        return;
    }
    let alone = over_nccl(1);
    let expected = losses(Device::Cuda(0), false)[0];
    assert!((alone[0].0[0] - expected).abs() < 1e-5, "a group of one rank");
    if tch::Cuda::device_count() < 2 {
        return support::skipped("one CUDA device: NCCL ran with one rank");
    }
    let found = over_nccl(2);
    assert!(found[0].1.equal(&found[1].1), "replicas are equal");
    assert!(found[0].1.allclose(&alone[0].1, 1e-5, 1e-6, false));
    assert!((found[0].0[3] - alone[0].0[3]).abs() < 1e-5, "the mean of the epoch");
}
