//! Every feature at once for many steps: resident memory and open files stay as they are after a
//! warm-up.
//!
//! Three trainers take turns, in full precision, bf16 and fp16. Each has a live teacher, one cached in
//! memory and one cached in a file, masks, windows of two micro-batches, all probes, all recorders, and
//! now and then an input that is NaN. An epoch ends with an evaluation, Shapley values and a linear
//! probe.

use std::{fs, path::Path};

use g2d::{
    Batch, G2dTrainer, Modality, ModalityParams, Result, Student, evaluate,
    loss::Classification,
    probe::{
        ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, LossRatio, ModalityGap,
        StudentConfidence, TeacherCka, UpdateRatio,
        held_out::{LinearProbe, Shapley},
    },
    record::{
        ConsoleProgress, Csv, JsonLines, Outcome, Recorders, RunFolder, RunInfo, TensorBoard,
    },
    schedule::Sequential,
    teacher::{
        Cached, FrozenModel,
        cache::{self, Digest, Storage},
    },
    trainer::{NonFinite, Precision},
};
use tch::{Device, Kind, Tensor, nn, nn::ModuleT, nn::OptimizerConfig};

/// Steps if `G2D_SOAK_STEPS` does not say how many.
const STEPS: usize = 600;
const EPOCH: usize = 20;
const BATCHES: usize = 10;
const ROWS: i64 = 6;
const WIDTH: i64 = 8;
const CLASSES: i64 = 4;
const K: usize = 3;
/// What resident memory may grow by after the warm-up, in KiB.
const ALLOWED: usize = 4096;

fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    4 * pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

fn handles() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

struct Tiny {
    names: Vec<Modality>,
    encoders: Vec<nn::SequentialT>,
    head: nn::Linear,
}

impl Tiny {
    fn new(vs: &nn::VarStore) -> Self {
        let names = Modality::list(["a", "b", "c"]);
        let encoder = |m: &Modality| {
            let path = vs.root() / m.name();
            nn::seq_t()
                .add(nn::conv2d(&path / "conv", 1, WIDTH, 3, Default::default()))
                .add(nn::batch_norm2d(&path / "bn", WIDTH, Default::default()))
                .add_fn(|x| x.relu().mean_dim([2_i64, 3].as_slice(), false, None))
        };
        let encoders = names.iter().map(encoder).collect();
        let head = nn::linear(vs.root() / "head", WIDTH * K as i64, CLASSES, Default::default());
        Self { names, encoders, head }
    }
}

impl Student for Tiny {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward_t(batch.input(m), train))
    }
    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(Tensor::f_cat(features, 1)?.apply(&self.head))
    }
    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![WIDTH])
    }
    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        let only = |(j, f): (usize, &Tensor)| if j == m { f.shallow_clone() } else { f * 0.0 };
        let own: Vec<_> = features.iter().enumerate().map(only).collect();
        Some(Tensor::cat(&own, 1).apply(&self.head))
    }
}

fn teacher(name: &str) -> FrozenModel {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let net = nn::linear(vs.root() / "net", 25, WIDTH, Default::default());
    let head = nn::linear(vs.root() / "head", WIDTH, CLASSES, Default::default());
    FrozenModel::new(name, &mut vs, move |input, _| {
        let features = input.flatten(1, -1).apply(&net).relu();
        let logits = features.apply(&head);
        (features, logits)
    })
}

/// The same samples in every epoch, some without a modality.
fn batches() -> Vec<Batch> {
    let batch = |i: usize| {
        let input = || Tensor::randn([ROWS, 1, 5, 5], (Kind::Float, Device::Cpu));
        let labels = Tensor::randint(CLASSES, [ROWS], (Kind::Int64, Device::Cpu));
        let first = ROWS * i as i64;
        let batch = Batch::new([input(), input(), input()], labels)
            .with_ids((first..first + ROWS).collect::<Vec<_>>());
        match i % 4 {
            1 => batch.with_present(1, [true, false, true, true, false, true]),
            2 => batch.with_present(2, [false; ROWS as usize]),
            _ => batch,
        }
    };
    (0..BATCHES).map(batch).collect()
}

fn copy(batch: &Batch) -> Batch {
    batch.to_device(batch.device()).unwrap()
}

/// The batch with an input that is NaN.
fn spoilt(batch: &Batch) -> Batch {
    let inputs: Vec<_> = batch.inputs().iter().map(|x| x * f64::NAN).collect();
    let spoilt = Batch::new(inputs, batch.targets().shallow_clone()).with_ids(batch.ids().unwrap());
    let flags = (0..K).filter_map(|m| Some((m, batch.present(m)?)));
    flags.fold(spoilt, |batch, (m, flags)| batch.with_present(m, flags))
}

/// One trainer with all that belongs to it.
struct Run {
    vs: nn::VarStore,
    student: Tiny,
    trainer: G2dTrainer,
    optimizer: nn::Optimizer,
    recorders: Recorders,
    params: ModalityParams,
    skipped: u64,
}

impl Run {
    fn new(precision: Precision, folder: &Path, epochs: u64, data: &[Batch]) -> Self {
        let vs = nn::VarStore::new(Device::Cpu);
        let student = Tiny::new(&vs);
        let all = || data.iter().map(|batch| Ok(copy(batch)));
        let in_memory = Cached::record(&teacher("b"), 1, all()).unwrap();
        let identity = cache::Identity::new(
            "c",
            Digest::from_parts(["weights"]),
            Digest::from_parts(["data"]),
        );
        let on_disk = cache::OutputFile::new(folder.join("c.safetensors"), identity)
            .storage(Storage::Half)
            .open_or_record(Device::Cpu, &teacher("c"), 2, all())
            .unwrap();
        let params = || ModalityParams::by_name(&vs, student.modalities()).unwrap();
        let trainer = G2dTrainer::builder(Classification::default())
            .encoders(params())
            .teacher(teacher("a"))
            .teacher(in_memory)
            .teacher(on_disk)
            .scheduler(Sequential::new([epochs / 4, epochs / 4]))
            .precision(precision)
            .accumulate(2)
            .non_finite(NonFinite::Skip)
            .probe(ConfidenceRatio::default())
            .probe(StudentConfidence::default())
            .probe(HeadAccuracy::default())
            .probe(LossRatio::default())
            .probe(GradientNorm::default())
            .probe(UpdateRatio::with_interval(1))
            .probe(GradientCosine::with_interval(1))
            .probe(TeacherCka::with_interval(1))
            .probe(ModalityGap::default())
            .build(&student)
            .unwrap();
        let mut recorders = Recorders::new()
            .with(Csv::create(folder.join("run.csv")).unwrap())
            .with(JsonLines::create(folder.join("run.jsonl")).unwrap())
            .with(RunFolder::create(folder.join("run")).unwrap())
            .with(TensorBoard::create(folder.join("events")).unwrap())
            .with(ConsoleProgress::new("soak", epochs));
        recorders.begin(&RunInfo::new("soak", student.modalities(), Device::Cpu));
        let sgd = nn::Sgd { momentum: 0.9, wd: 1e-4, ..Default::default() };
        let optimizer = sgd.build(&vs, 1e-3).unwrap();
        let params = params();
        Self { vs, student, trainer, optimizer, recorders, params, skipped: 0 }
    }

    fn step(&mut self, batch: &Batch) {
        let report = self.trainer.step(&self.student, batch).unwrap();
        self.recorders.step(&report);
        if report.outcome.is_ready() {
            self.optimizer.step();
            self.optimizer.zero_grad();
        }
        report.read().unwrap();
    }

    fn end_epoch(&mut self, data: &[Batch]) {
        if self.trainer.finish_window().unwrap().is_some() {
            self.optimizer.step();
            self.optimizer.zero_grad();
        }
        self.recorders.encoders(self.trainer.progress().epoch, &self.params);
        let mut report = self.trainer.end_epoch().unwrap();
        self.skipped += report.skipped;
        let whole = || data.iter().step_by(4).map(copy);
        report.measurements.extend(
            Shapley::default().measure(&self.student, &whole().collect::<Vec<_>>()).unwrap(),
        );
        let all: Vec<_> = data.iter().map(copy).collect();
        let linear = LinearProbe::default().measure(&self.student, &all, &all).unwrap();
        report.measurements.extend(linear);
        let seen = evaluate(&self.student, data.iter().map(|batch| Ok(copy(batch)))).unwrap();
        let mut metrics = vec![("val_accuracy".to_owned(), seen.accuracy().unwrap())];
        for (modality, accuracy) in seen.head_accuracy().unwrap() {
            metrics.push((format!("val_accuracy_{modality}"), accuracy));
        }
        self.recorders.epoch(&report, &metrics);
    }
}

#[test]
fn soak() {
    let steps = std::env::var("G2D_SOAK_STEPS").ok().map_or(STEPS, |n| n.parse().unwrap());
    tch::manual_seed(3);
    let data = batches();
    let folder = tempfile::tempdir().unwrap();
    let epochs = (steps / 3 / EPOCH).max(4) as u64;
    let mut runs = [Precision::Full, Precision::Bf16, Precision::Fp16].map(|precision| {
        let folder = folder.path().join(format!("{precision:?}"));
        fs::create_dir(&folder).unwrap();
        Run::new(precision, &folder, epochs, &data)
    });
    let mut seen = Vec::new();
    for i in 0..steps / 3 {
        for run in &mut runs {
            let batch = &data[i % BATCHES];
            // At places of a window and of an epoch that change.
            if i % 53 == 7 {
                run.step(&spoilt(batch))
            } else {
                run.step(batch)
            }
            if (i + 1) % EPOCH == 0 {
                run.end_epoch(&data);
            }
        }
        if (i + 1) % EPOCH == 0 {
            seen.push((resident(), handles()));
        }
    }
    // The first third warms up: allocator, thread pools, libtorch's caches.
    let warm = seen.len() / 3;
    let most = |part: &[(usize, usize)]| part.iter().map(|(kib, _)| *kib).max().unwrap();
    let (before, after) = (most(&seen[..=warm]), most(&seen[warm..]));
    let open: Vec<_> = seen[warm..].iter().map(|(_, open)| *open).collect();
    eprintln!(
        "{steps} steps: resident {before} KiB at most until step {}, {after} KiB after; {} to {} \
         open files; the last {:?}",
        3 * EPOCH * (warm + 1),
        open.iter().min().unwrap(),
        open.iter().max().unwrap(),
        seen.last().unwrap(),
    );
    assert!(after <= before + ALLOWED, "memory grows: {seen:?}");
    assert!(open.iter().all(|n| *n == open[0]), "open files: {seen:?}");
    for run in &mut runs {
        assert!(run.recorders.failures().is_empty(), "{:?}", run.recorders.failures());
        assert!(run.skipped > 0, "NaN was to be skipped");
        let variables = run.vs.variables();
        let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
        assert!(variables.values().all(finite), "a weight is not finite");
        run.recorders.finish(&Outcome::default());
    }
}
