//! Resident memory and the number of open files stay constant over many steps with all features in
//! use.
//!
//! Three trainers step in turn, in full precision, bf16 and fp16. Each has a live teacher, one cached
//! in memory and one cached in a file, missing modalities, accumulation windows of two micro-batches,
//! all probes and all recorders; some inputs are NaN. Each epoch ends with an evaluation, Shapley
//! values and a linear probe.

use std::{fs, path::Path};

use g2d::{
    Batch, G2dTrainer, Student, evaluate,
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
        Cached,
        cache::{self, Digest, Storage},
    },
    trainer::{NonFinite, Precision},
};
use tch::{Device, Kind, Tensor, nn, nn::OptimizerConfig};

use crate::support::{Tiny, WIDTH, with_nan_input};

/// The number of steps of all trainers, unless `G2D_SOAK_STEPS` is set.
const STEPS: usize = 600;
const STEPS_PER_EPOCH: usize = 20;
const BATCHES: usize = 10;
const ROWS: i64 = 6;
const MODALITIES: usize = 3;
/// The growth of resident memory that is allowed after the warm-up, in KiB.
const ALLOWED_GROWTH: usize = 4096;

/// Resident memory in KiB.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    4 * pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn student() -> Tiny {
    let mut student = Tiny::conv(MODALITIES);
    student.vs.set_kind(Kind::Float);
    student
}

/// The batches of every epoch; some samples lack a modality.
fn batches() -> Vec<Batch> {
    let student = student();
    let batch = |i: usize| {
        let first = ROWS * i as i64;
        let ids: Vec<i64> = (first..first + ROWS).collect();
        let batch = student.batch(ROWS, i as f64).with_ids(ids);
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

/// The batch with NaN in an input.
fn corrupted(batch: &Batch) -> Batch {
    let flags = (0..MODALITIES).filter_map(|m| Some((m, batch.present(m)?)));
    let corrupted = with_nan_input(batch, 0).with_ids(batch.ids().unwrap());
    flags.fold(corrupted, |batch, (m, flags)| batch.with_present(m, flags))
}

/// A trainer with its student, optimizer and recorders.
struct SoakRun {
    student: Tiny,
    trainer: G2dTrainer,
    optimizer: nn::Optimizer,
    recorders: Recorders,
    skipped: u64,
}

impl SoakRun {
    fn new(precision: Precision, folder: &Path, epochs: u64, data: &[Batch]) -> Self {
        let student = student();
        let all = || data.iter().map(|batch| Ok(copy(batch)));
        let teacher = |m| student.teacher(m, WIDTH).0;
        let in_memory = Cached::record(&teacher(1), 1, all()).unwrap();
        let identity = cache::Identity::new(
            "m2",
            Digest::from_parts(["weights"]),
            Digest::from_parts(["data"]),
        );
        let on_disk = cache::OutputFile::new(folder.join("m2.safetensors"), identity)
            .storage(Storage::Half)
            .open_or_record(Device::Cpu, &teacher(2), 2, all())
            .unwrap();
        let trainer = student
            .builder(Classification::default())
            .teacher(teacher(0))
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
        let optimizer = sgd.build(&student.vs, 1e-3).unwrap();
        Self { student, trainer, optimizer, recorders, skipped: 0 }
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
        self.recorders.encoders(self.trainer.progress().epoch, &self.student.params());
        let mut report = self.trainer.end_epoch().unwrap();
        self.skipped += report.skipped;
        let complete: Vec<_> = data.iter().step_by(4).map(copy).collect();
        let shapley = Shapley::default().measure(&self.student, &complete).unwrap();
        let all: Vec<_> = data.iter().map(copy).collect();
        let linear = LinearProbe::default().measure(&self.student, &all, &all).unwrap();
        report.measurements.extend(shapley.into_iter().chain(linear));
        let predictions = evaluate(&self.student, all.into_iter().map(Ok)).unwrap();
        let mut metrics = vec![("val_accuracy".to_owned(), predictions.accuracy().unwrap())];
        for (modality, accuracy) in predictions.head_accuracy().unwrap() {
            metrics.push((format!("val_accuracy_{modality}"), accuracy));
        }
        self.recorders.epoch(&report, &metrics);
    }
}

#[test]
fn memory_and_open_files_stay_constant() {
    let steps = std::env::var("G2D_SOAK_STEPS").ok().map_or(STEPS, |n| n.parse().unwrap());
    let data = batches();
    let folder = tempfile::tempdir().unwrap();
    let epochs = (steps / 3 / STEPS_PER_EPOCH).max(4) as u64;
    let mut runs = [Precision::Full, Precision::Bf16, Precision::Fp16].map(|precision| {
        let folder = folder.path().join(format!("{precision:?}"));
        fs::create_dir(&folder).unwrap();
        SoakRun::new(precision, &folder, epochs, &data)
    });
    let mut usage = Vec::new();
    for i in 0..steps / 3 {
        for run in &mut runs {
            let batch = &data[i % BATCHES];
            // The position in the window and in the epoch varies.
            if i % 53 == 7 {
                run.step(&corrupted(batch));
            } else {
                run.step(batch);
            }
            if (i + 1) % STEPS_PER_EPOCH == 0 {
                run.end_epoch(&data);
            }
        }
        if (i + 1) % STEPS_PER_EPOCH == 0 {
            usage.push((resident(), open_files()));
        }
    }
    // The first third warms up the allocator, the thread pools and the caches of libtorch.
    let warm = usage.len() / 3;
    let most = |part: &[(usize, usize)]| part.iter().map(|(kib, _)| *kib).max().unwrap();
    let (before, after) = (most(&usage[..=warm]), most(&usage[warm..]));
    let open: Vec<_> = usage[warm..].iter().map(|(_, open)| *open).collect();
    eprintln!(
        "{steps} steps: at most {before} KiB resident until step {}, {after} KiB afterwards; {} to \
         {} open files; at the end {:?}",
        3 * STEPS_PER_EPOCH * (warm + 1),
        open.iter().min().unwrap(),
        open.iter().max().unwrap(),
        usage.last().unwrap(),
    );
    assert!(after <= before + ALLOWED_GROWTH, "resident memory grows: {usage:?}");
    assert!(open.iter().all(|n| *n == open[0]), "the number of open files changes: {usage:?}");
    for run in &mut runs {
        assert!(run.recorders.failures().is_empty(), "{:?}", run.recorders.failures());
        assert!(run.skipped > 0, "no step was skipped");
        let variables = run.student.vs.variables();
        let finite = |t: &Tensor| t.isfinite().all().int64_value(&[]) == 1;
        assert!(variables.values().all(finite), "a variable is not finite");
        run.recorders.finish(&Outcome::default());
    }
}
