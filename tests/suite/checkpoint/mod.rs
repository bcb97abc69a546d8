//! Snapshots of runs.
//!
//! - `resume.rs`: a run that is stopped at any step resumes bit by bit.
//! - `corrupted_input.rs`: damaged snapshots, snapshots of another run, and state that cannot be
//!   saved.
//! - `folder.rs`: which snapshots are kept; crashes and full disks.
//! - `resumable_run.rs`: runs that hold their parts; `early_stopping.rs`: loops without snapshots.

mod corrupted_input;
mod early_stopping;
mod folder;
mod resumable_run;
mod resume;

use g2d::{
    Batch, EpochReport, G2dTrainer,
    checkpoint::{RunParts, SnapshotFolder},
    loss::Classification,
    optim::{AdamWConfig, Algorithm, LrSchedule, Optimizer, SgdConfig},
    paper::baselines::Ogm,
    probe::{ConfidenceRatio, GradientNorm, LossRatio, UpdateRatio},
    schedule::{Partial, Ranking, Sequential},
    step::StepValues,
    trainer::Precision,
};
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::support::{Tiny, WIDTH};

pub const EPOCHS: u64 = 3;
pub const STEPS: u64 = 4;

/// The state of the caller's loop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Loop {
    pub sum: f64,
    pub epochs: Vec<EpochReport>,
}

/// A configuration of a run.
#[derive(Debug, Clone, Copy)]
pub enum Setting {
    /// Live teachers, ranked by the previous epoch, momentum, probes.
    PreviousEpoch,
    /// Cached teachers, partial suppression, AdamW.
    Cached,
    /// No teachers, OGM-GE with its noise.
    Noise,
    /// fp16 with loss scaling.
    Half,
}

/// A student, its trainer and its optimizer.
pub struct Run {
    pub student: Tiny,
    pub trainer: G2dTrainer,
    pub optimizer: Optimizer,
}

impl Run {
    pub fn new(setting: Setting) -> Self {
        let mut tiny = Tiny::conv(2);
        if matches!(setting, Setting::Half) {
            tiny = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
        }
        let loss = Classification::default;
        let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 1e-2, ..Default::default() };
        let (builder, algorithm): (_, Algorithm) = match setting {
            Setting::PreviousEpoch => (
                tiny.builder_with_teachers(loss())
                    .scheduler(Sequential::new([1, 1]).ranking(Ranking::PreviousEpoch))
                    .probe(ConfidenceRatio::default())
                    .probe(GradientNorm::default())
                    .probe(LossRatio::default())
                    .probe(UpdateRatio::with_interval(2)),
                sgd.into(),
            ),
            Setting::Cached => {
                let batches = || (0..STEPS).map(|step| batch(&tiny, step)).collect();
                let cached = tiny.builder_with_cached_teachers(loss(), batches);
                let partial = Partial::new(0.5, 0..2).ranking(Ranking::PreviousEpoch);
                (cached.scheduler(partial), AdamWConfig { lr: 0.02, ..Default::default() }.into())
            }
            Setting::Noise => {
                (tiny.builder(loss()).modulation(Ogm::new(0.5, 0..=9).with_noise(3)), sgd.into())
            }
            Setting::Half => (
                tiny.builder_with_teachers(loss())
                    .precision(Precision::Fp16)
                    .scheduler(Sequential::new([1])),
                sgd.into(),
            ),
        };
        let trainer = builder.build(&tiny).unwrap();
        let optimizer = Optimizer::builder(&tiny.vs, algorithm).build().unwrap();
        Self { student: tiny, trainer, optimizer }
    }

    pub fn parts(&mut self) -> RunParts<'_> {
        RunParts::new(&mut self.trainer)
            .weights("student", &self.student.vs)
            .optimizer("main", &mut self.optimizer)
    }

    /// Trains to the end, or until the run has made `stop` steps in all; saves a snapshot after
    /// every step and epoch. Returns the values of the steps.
    pub fn train(
        &mut self,
        own: &mut Loop,
        stop: Option<u64>,
        mut checkpoints: Option<&mut SnapshotFolder>,
    ) -> Vec<StepValues> {
        let mut steps = Vec::new();
        let schedule = LrSchedule::step(1, 0.5);
        for epoch in self.trainer.progress().epoch..EPOCHS {
            self.optimizer.set_lr_factor(schedule.factor(epoch)).unwrap();
            for step in self.trainer.progress().step..STEPS {
                if Some(self.trainer.progress().total_steps) == stop {
                    return steps;
                }
                self.optimizer.zero_grad().unwrap();
                let batch = batch(&self.student, (step + epoch) % STEPS);
                let report = self.trainer.step(&self.student, &batch).unwrap();
                self.optimizer.step().unwrap();
                let values = report.read().unwrap();
                own.sum += values.terms.total;
                steps.push(values);
                if let Some(checkpoints) = checkpoints.as_deref_mut() {
                    checkpoints.save(&mut self.parts(), own, None).unwrap();
                }
            }
            own.epochs.push(self.trainer.end_epoch().unwrap());
            if let Some(checkpoints) = checkpoints.as_deref_mut() {
                checkpoints.save(&mut self.parts(), own, Some(epoch as f64)).unwrap();
            }
        }
        steps
    }
}

/// Batch number `index`.
fn batch(student: &Tiny, index: u64) -> Batch {
    let ids: Vec<i64> = (0..5).map(|i| index as i64 * 10 + i).collect();
    student.batch(5, index as f64).with_ids(ids)
}

/// Marks the weights of a student with a number: the bias of its head.
fn mark(student: &Tiny, number: f64) {
    let mut bias = student.vs.variables().remove("head.bias").unwrap();
    let _ = tch::no_grad(|| bias.fill_(number));
}

/// The number with which the weights are marked.
fn marked(student: &Tiny) -> f64 {
    student.vs.variables()["head.bias"].double_value(&[0])
}
