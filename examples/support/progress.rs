//! Progress of trainings: bars on a terminal, otherwise a line every ten epochs.

use std::io::IsTerminal;

use g2d::{
    EpochReport,
    record::{ConsoleProgress, Recorder as _},
};
use indicatif::MultiProgress;

/// The progress of all trainings of a comparison.
pub struct ProgressBars {
    bars: MultiProgress,
    terminal: bool,
}

impl Default for ProgressBars {
    fn default() -> Self {
        Self { bars: MultiProgress::new(), terminal: std::io::stderr().is_terminal() }
    }
}

impl ProgressBars {
    /// Adds a training of `epochs` epochs, of which `done` have been trained before.
    pub fn add(&self, name: &str, epochs: u64, done: u64) -> TrainingBar {
        let lines = (!self.terminal).then(|| (name.to_owned(), epochs));
        let bar = ConsoleProgress::with_group(&self.bars, name, epochs).starting_at(done);
        TrainingBar { bar, lines, epoch: done }
    }
}

/// The progress of one training.
pub struct TrainingBar {
    bar: ConsoleProgress,
    /// Name and number of epochs, if stderr is no terminal.
    lines: Option<(String, u64)>,
    epoch: u64,
}

impl TrainingBar {
    /// Shows an epoch of a student.
    pub fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) {
        let _ = self.bar.epoch(report, metrics); // a bar does not fail
        self.line(report.terms.total, metrics);
    }

    /// Shows an epoch of a teacher.
    pub fn teacher_epoch(&mut self, loss: f64, metrics: &[(String, f64)]) {
        self.bar.unimodal_epoch(loss, metrics);
        self.line(loss, metrics);
    }

    pub fn finish(&self) {
        self.bar.finish();
    }

    fn line(&mut self, loss: f64, metrics: &[(String, f64)]) {
        self.epoch += 1;
        let (Some((name, epochs)), epoch) = (&self.lines, self.epoch) else { return };
        if epoch % 10 == 0 || epoch == *epochs {
            let metrics: Vec<_> = metrics.iter().map(|(n, v)| format!("{n} {v:.1}")).collect();
            eprintln!("{name:>14} {epoch:>3}/{epochs}  loss {loss:.3}  {}", metrics.join("  "));
        }
    }
}
