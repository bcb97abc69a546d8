//! The main paths on a GPU; without one a line says that they were skipped.

mod support;

use std::{path::Path, sync::Once};

use g2d::{
    Batch, Error, G2dTrainer, Modality, ModalityParams, Result, Student, Teacher,
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

use support::{fill, in_own_process};

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

    fn trainer_with(&self, cached: bool, more: impl Fn(Builder) -> Builder) -> G2dTrainer {
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
        more(builder).build(self).unwrap()
    }
}

impl Student for TwoLinear {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)).tanh())
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
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

/// Labels 0, 1, 2, …, each `shift` higher.
fn batch(device: Device, shift: i64) -> Batch {
    let labels = Tensor::arange(ROWS, (Kind::Int64, Device::Cpu)).remainder(CLASSES) + shift;
    let inputs = [wave(0.5, &[ROWS, INPUT]), wave(2.5, &[ROWS, INPUT])];
    let ids: Vec<i64> = (0..ROWS).collect();
    Batch::new(inputs, labels).with_ids(ids).to_device(device).unwrap()
}

/// The GPU, or `None` after a line that says so.
fn gpu() -> Option<Device> {
    if tch::Cuda::is_available() {
        return Some(Device::Cuda(0));
    }
    SKIPPED.call_once(|| support::skipped("no CUDA device"));
    None
}

/// Losses of a stage and a joint epoch of three steps each.
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
            assert_eq!(report.terms.total.device(), device, "nothing was moved to the host");
            for (m, before) in before.iter().enumerate() {
                let stood_still = student.encoders[m].ws.equal(before);
                assert_eq!(stood_still, report.plan.suppresses(m));
            }
            assert_eq!(report.plan.is_joint(), epoch == 1);
            losses.push(report.read().unwrap().terms.total);
        }
        assert!(trainer.end_epoch().unwrap().terms.total.is_finite());
    }
    losses
}

#[test]
fn steps_agree_with_the_processor_s() {
    let Some(device) = gpu() else { return };
    let expected = losses(Device::Cpu, false);
    for cached in [false, true] {
        for (found, expected) in losses(device, cached).iter().zip(&expected) {
            approx::assert_relative_eq!(*found, *expected, max_relative = 1e-4);
        }
    }
}

/// The label is not read back at once: the loss is NaN and the end of the epoch says so.
#[test]
fn an_illegal_label_is_found_at_the_end_of_the_epoch() {
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

/// Later good steps must not hide an earlier bad one, nor take the blame.
#[test]
fn good_steps_do_not_hide_a_bad_one() {
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

/// Rows are found on the host and sent; logits and targets are known there.
#[test]
fn a_cache_file_answers_on_the_device() {
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

/// The head's gradient after a window of two steps.
fn gradient(device: Device, precision: Precision) -> Tensor {
    let student = TwoLinear::new(device);
    let more = |builder: Builder| builder.precision(precision).accumulate(2);
    let mut trainer = student.trainer_with(false, more);
    for ready in [false, true] {
        let report = trainer.step(&student, &batch(device, 0)).unwrap();
        assert_eq!(report.outcome.is_ready(), ready, "{precision:?}: {:?}", report.outcome);
        assert_eq!(report.terms.total.kind(), Kind::Float);
        assert_eq!(report.logits.kind(), Kind::Float);
    }
    student.head.ws.grad().to_device(Device::Cpu)
}

#[test]
fn mixed_precision_is_close_to_the_processor_s() {
    let Some(device) = gpu() else { return };
    let expected = gradient(Device::Cpu, Precision::Full);
    for (precision, bound) in
        [(Precision::Full, 1e-4), (Precision::Bf16, 0.05), (Precision::Fp16, 0.05)]
    {
        let error = (gradient(device, precision) - &expected).norm() / expected.norm();
        let error = error.double_value(&[]);
        assert!(error < bound, "{precision:?} is off by {error}");
    }
}

/// Under a policy that skips, the loss is read after backward and the step undone.
#[test]
fn a_bad_step_is_skipped_and_named() {
    let Some(device) = gpu() else { return };
    for precision in [Precision::Full, Precision::Fp16] {
        let student = TwoLinear::new(device);
        let more = |builder: Builder| builder.precision(precision).non_finite(NonFinite::Skip);
        let mut trainer = student.trainer_with(true, more);
        let good = batch(device, 0);
        let inputs: Vec<_> = good.inputs().iter().map(|x| x * f64::NAN).collect();
        let ids = good.ids().unwrap();
        let bad = Batch::new(inputs, good.targets().shallow_clone()).with_ids(ids);
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

/// The copy to the GPU is right although nobody waits for it, and leaves the host's batch alone.
#[test]
fn batches_go_to_the_device_whole() {
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

/// A convolution's output in either layout, with weights of the same values.
#[test]
fn channels_last_convolves_alike() {
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

/// Some samples lack a modality: their rows' index goes to the device, and ρ of cached teachers too.
#[test]
fn missing_modalities_and_cached_confidence_are_the_processor_s() {
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

/// A run of `steps` from its beginning or from a snapshot: what it saved, the head's weights, and what
/// the device's generator then gives.
fn resumed(
    device: Device,
    from: Option<&Snapshot>,
    folder: &Path,
    steps: u64,
) -> (Snapshot, Tensor, Tensor) {
    let rule = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 0.01, ..Default::default() };
    let mut student = TwoLinear::new(device);
    let mut trainer = student.trainer(false);
    let mut optimizer = Optimizer::builder(&student.vs, rule).build().unwrap();
    if let Some(snapshot) = from {
        let mut parts = RunParts::new(&mut trainer)
            .weights("student", &mut student.vs)
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
        .weights("student", &mut student.vs)
        .optimizer("sgd", &mut optimizer);
    let snapshot = checkpoints.save(&mut parts, &(), None).unwrap().clone();
    let weights = student.head.ws.detach().to_device(Device::Cpu).copy();
    (snapshot, weights, Tensor::rand([4], (Kind::Float, device)).to_device(Device::Cpu))
}

/// Momentum and the trainer's state come back; a snapshot of one device goes on on another.
#[test]
fn a_run_goes_on_from_its_snapshot() {
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
fn the_generator_of_the_device_goes_on_from_a_snapshot() {
    let Some(device) = gpu() else { return };
    if !in_own_process("the_generator_of_the_device_goes_on_from_a_snapshot") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (snapshot, _, drawn) = resumed(device, None, &at("random"), 1);
    let (_, _, again) = resumed(device, Some(&snapshot), &at("again"), 0);
    assert!(drawn.equal(&again), "the device's generator is not restored");
}
