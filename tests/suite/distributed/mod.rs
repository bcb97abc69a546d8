//! Training by several ranks: threads of this process, each with its own rank of a group.
//!
//! - `combined.rs`: gradients and parameters equal those of one trainer on the combined batch.
//! - `agreement.rs`: values that are not finite, ranks that fail, ranks that disagree.
//! - `weighted.rs`: losses that are not means over samples.
//! - `resumed.rs`: the state of a training, and the number of ranks.
//! - `around.rs`: epochs, probes, modulations and what else spans steps.
//! - `batch_norm.rs`: batch norm over the batches of all ranks.
//! - `teachers.rs`: teachers that several ranks train together.
//! - `group.rs`: the operations of a group; `launch.rs`: the environments of launchers.

mod agreement;
mod around;
mod batch_norm;
mod combined;
mod group;
mod launch;
mod resumed;
mod teachers;
mod weighted;

use std::time::Duration;

use g2d::{
    Batch, EpochReport, Result, StepReport,
    distributed::{GroupConfig, ProcessGroup, in_threads},
    optim::{Optimizer, SgdConfig},
    trainer::Builder,
};
use tch::{Kind, Tensor};

use super::support::{Snapshot, Tiny, assert_same, fill, gradients, select_rows, values};

/// How long a rank waits in tests that expect no rank to fail.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `run` on `ranks` threads; their results.
fn each<T: Send>(ranks: usize, run: impl Fn(ProcessGroup) -> Result<T> + Sync) -> Vec<Result<T>> {
    let config = GroupConfig { timeout: PATIENCE, ..GroupConfig::default() };
    in_threads(ranks, &config, run).unwrap()
}

/// As [`each`], where no rank fails.
fn all<T: Send>(ranks: usize, run: impl Fn(ProcessGroup) -> Result<T> + Sync) -> Vec<T> {
    each(ranks, run).into_iter().collect::<Result<_>>().unwrap()
}

/// What a training did.
struct Outcome {
    /// The gradients before each update, and the parameters after the last one.
    gradients: Vec<Snapshot>,
    parameters: Snapshot,
    reports: Vec<String>,
    epoch: EpochReport,
}

/// A training whose batches are divided among ranks.
struct Training<'a> {
    kind: Kind,
    steps: usize,
    /// The rows of each rank in every combined batch.
    rows: &'a [i64],
    /// Whether a row of the combined batch has modality 1.
    present: Option<fn(i64) -> bool>,
    builder: &'a (dyn Fn(&Tiny) -> Builder + Sync),
}

impl Training<'_> {
    fn batch(&self, student: &Tiny, step: usize) -> Batch {
        student.batch(self.rows.iter().sum(), step as f64)
    }

    /// The rows of the combined batch from `from` on, `count` of them.
    fn part(&self, student: &Tiny, step: usize, from: i64, count: i64) -> Batch {
        let rows: Vec<i64> = (from..from + count).collect();
        let weights: Vec<f64> = rows.iter().map(|row| (row % 3) as f64 * 0.5).collect();
        let batch = select_rows(&self.batch(student, step), &rows);
        let batch = batch.with_extra("weight", Tensor::from_slice(&weights).to_kind(self.kind));
        match self.present {
            None => batch,
            Some(present) => {
                batch.with_present(1, rows.iter().map(|&row| present(row)).collect::<Vec<_>>())
            }
        }
    }

    fn run(&self, group: Option<&ProcessGroup>) -> Result<Outcome> {
        let student = Tiny::with_widths(&[4, 4], self.kind);
        let mut builder = (self.builder)(&student);
        if let Some(group) = group {
            // Other weights, which the trainer replaces by those of rank 0.
            fill(&student.vs, 0.3 + 0.5 * group.rank() as f64);
            builder = builder.group(group);
        }
        let mut trainer = builder.build(&student)?;
        let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 0.01, ..SgdConfig::default() };
        let mut optimizer = Optimizer::builder(&student.vs, sgd).build()?;
        let (from, count) = match group {
            None => (0, self.rows.iter().sum()),
            Some(group) => (self.rows[..group.rank()].iter().sum(), self.rows[group.rank()]),
        };
        let (mut found, mut reports) = (Vec::new(), Vec::new());
        for step in 0..self.steps {
            let batch = self.part(&student, step, from, count);
            let report = trainer.step(&student, &batch)?;
            reports.push(described(&report));
            found.push(gradients(&student.vs));
            trainer.update(&mut optimizer)?;
        }
        trainer.finish_window()?;
        found.push(gradients(&student.vs));
        trainer.update(&mut optimizer)?;
        let parameters = values(&student.vs);
        Ok(Outcome { gradients: found, parameters, reports, epoch: trainer.end_epoch()? })
    }

    /// Runs all ranks, and one trainer on the combined batch, and compares them; returns what the latter did.
    fn compare(&self) -> Outcome {
        let alone = self.run(None).unwrap();
        let ranks = all(self.rows.len(), |group| self.run(Some(&group)));
        let tolerance = if self.kind == Kind::Double { 1e-12 } else { 1e-6 };
        for (rank, found) in ranks.iter().enumerate() {
            assert_eq!(found.reports, alone.reports, "rank {rank}");
            for (step, gradients) in found.gradients.iter().enumerate() {
                // Inside a window, gradients are those of each rank.
                if found.reports.get(step).is_some_and(|report| report.contains("Accumulating")) {
                    continue;
                }
                let what = format!("gradients of step {step} on rank {rank}");
                assert_near(&what, gradients, &alone.gradients[step], tolerance);
                assert_same(gradients, &ranks[0].gradients[step]);
            }
            assert_near("parameters", &found.parameters, &alone.parameters, tolerance);
            assert_same(&found.parameters, &ranks[0].parameters);
            assert_epoch(&found.epoch, &alone.epoch, tolerance);
        }
        alone
    }
}

/// Plan and outcome of a step.
fn described(report: &StepReport) -> String {
    format!("{:?} {:?}", report.plan.kappa(), report.outcome)
}

/// Asserts that no element differs from the expected one by more than `tolerance` times the largest element of
/// all expected tensors.
#[track_caller]
fn assert_near(what: &str, found: &Snapshot, expected: &Snapshot, tolerance: f64) {
    assert!(found.keys().eq(expected.keys()), "{what}: {:?}, {:?}", found.keys(), expected.keys());
    let size = |tensor: &Tensor| tensor.to_kind(Kind::Double).abs().max().double_value(&[]);
    let finite = expected.values().map(size).filter(|size| size.is_finite());
    let largest = finite.fold(0.0, f64::max);
    for (name, tensor) in found {
        let difference =
            size(&(tensor.to_kind(Kind::Double) - expected[name].to_kind(Kind::Double)));
        let allowed = tolerance * largest;
        assert!(difference <= allowed, "{what}: {name} differs by {difference:e} of {largest:e}");
    }
}

/// Asserts that two epochs have the same means.
#[track_caller]
fn assert_epoch(found: &EpochReport, expected: &EpochReport, tolerance: f64) {
    let numbers = |report: &EpochReport| {
        let terms = &report.terms;
        let modalities = [&terms.feature, &terms.logit, &terms.head, &report.confidence];
        let mut all = vec![terms.total, terms.task, terms.ensemble.unwrap_or(0.0)];
        all.extend(modalities.into_iter().flatten().map(|value| value.unwrap_or(-1.0)));
        all.extend(&report.kappa);
        all
    };
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let allowed = 10.0 * tolerance * expected.abs().max(1.0);
        assert!((found - expected).abs() <= allowed, "{found} against {expected}");
    }
}
