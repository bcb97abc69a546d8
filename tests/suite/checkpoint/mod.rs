//! Snapshots: a run goes on bit by bit, and what does not fit is refused before anything changes.
//!
//! - `resume.rs`: stopped at any step, in any configuration.
//! - `corrupted_input.rs`: cut, altered, foreign, newer, other parts.
//! - `folder.rs`: which snapshots are kept, and what a failing disk leaves.

mod corrupted_input;
mod folder;
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
    teacher::Cached,
    trainer::Precision,
};
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::support::{Tiny, WIDTH};

pub const EPOCHS: u64 = 3;
pub const STEPS: u64 = 4;

/// What the caller's loop remembers.
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
    /// Cached teachers, partial suppression, AdamWConfig.
    Cached,
    /// No teachers; OGM-GE with its noise.
    Noise,
    /// fp16 with its loss scale.
    Half,
}

/// A run with everything that learns.
pub struct Run {
    pub student: Tiny,
    pub trainer: G2dTrainer,
    pub optimizer: Optimizer,
}

impl Run {
    pub fn new(setting: Setting) -> Self {
        let mut tiny = Tiny::conv(2);
        if matches!(setting, Setting::Half) {
            tiny = Tiny::of_widths(&[WIDTH; 2], Kind::Float);
        }
        let loss = Classification::default;
        let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 1e-2, ..Default::default() };
        let (builder, rule): (_, Algorithm) = match setting {
            Setting::PreviousEpoch => (
                tiny.taught(loss())
                    .scheduler(Sequential::new([1, 1]).ranking(Ranking::PreviousEpoch))
                    .probe(ConfidenceRatio::default())
                    .probe(GradientNorm::default())
                    .probe(LossRatio::default())
                    .probe(UpdateRatio::with_interval(2)),
                sgd.into(),
            ),
            Setting::Cached => {
                let batches = || (0..STEPS).map(|s| Ok(batch(&tiny, s)));
                let cached = (0..2).fold(tiny.builder(loss()), |builder, m| {
                    let live = tiny.teacher(m, WIDTH).0;
                    builder.teacher(Cached::record(&live, m, batches()).unwrap())
                });
                let partial = Partial::new(0.5, 0..2).ranking(Ranking::PreviousEpoch);
                (cached.scheduler(partial), AdamWConfig { lr: 0.02, ..Default::default() }.into())
            }
            Setting::Noise => {
                (tiny.builder(loss()).modulation(Ogm::new(0.5, 0..=9).with_noise(3)), sgd.into())
            }
            Setting::Half => (
                tiny.taught(loss()).precision(Precision::Fp16).scheduler(Sequential::new([1])),
                sgd.into(),
            ),
        };
        let trainer = builder.build(&tiny).unwrap();
        let optimizer = Optimizer::builder(&tiny.vs, rule).build().unwrap();
        Self { student: tiny, trainer, optimizer }
    }

    pub fn parts(&mut self) -> RunParts<'_> {
        RunParts::new(&mut self.trainer)
            .weights("student", &mut self.student.vs)
            .optimizer("main", &mut self.optimizer)
    }

    /// Goes on to the end, or until `stop` steps are done in all; saves behind every step into
    /// `checkpoints`. Says what every step and epoch said.
    pub fn go(
        &mut self,
        own: &mut Loop,
        stop: Option<u64>,
        mut checkpoints: Option<&mut SnapshotFolder>,
    ) -> Vec<StepValues> {
        let mut told = Vec::new();
        let schedule = LrSchedule::step(1, 0.5);
        for epoch in self.trainer.progress().epoch..EPOCHS {
            self.optimizer.set_lr_factor(schedule.factor(epoch));
            for step in self.trainer.progress().step..STEPS {
                if Some(self.trainer.progress().total_steps) == stop {
                    return told;
                }
                self.optimizer.zero_grad().unwrap();
                let batch = batch(&self.student, (step + epoch) % STEPS);
                let report = self.trainer.step(&self.student, &batch).unwrap();
                self.optimizer.step().unwrap();
                let values = report.read().unwrap();
                own.sum += values.terms.total;
                told.push(values);
                if let Some(checkpoints) = checkpoints.as_deref_mut() {
                    checkpoints.save(&mut self.parts(), own, None).unwrap();
                }
            }
            own.epochs.push(self.trainer.end_epoch().unwrap());
            if let Some(checkpoints) = checkpoints.as_deref_mut() {
                checkpoints.save(&mut self.parts(), own, Some(epoch as f64)).unwrap();
            }
        }
        told
    }
}

/// The `which`-th batch.
fn batch(student: &Tiny, which: u64) -> Batch {
    let ids: Vec<i64> = (0..5).map(|i| which as i64 * 10 + i).collect();
    student.batch(5, which as f64).with_ids(ids)
}
