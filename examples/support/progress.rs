//! Bars on a terminal, a line every few epochs elsewhere.

use std::io::IsTerminal;

use g2d::{
    EpochReport,
    record::{ConsoleProgress, Recorder as _},
};
use indicatif::MultiProgress;

/// All bars of the run.
pub struct Bars {
    bars: MultiProgress,
    terminal: bool,
}

impl Default for Bars {
    fn default() -> Self {
        Self { bars: MultiProgress::new(), terminal: std::io::stderr().is_terminal() }
    }
}

impl Bars {
    /// A training of `epochs`, of which `done` were done before.
    pub fn add(&self, name: &str, epochs: u64, done: u64) -> Bar {
        let lines = (!self.terminal).then(|| (name.to_owned(), epochs));
        let bar = ConsoleProgress::with_group(&self.bars, name, epochs).starting_at(done);
        Bar { bar, lines, epoch: done }
    }
}

/// One training's progress.
pub struct Bar {
    bar: ConsoleProgress,
    /// Name and number of epochs, where there is no terminal to draw on.
    lines: Option<(String, u64)>,
    epoch: u64,
}

impl Bar {
    pub fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) {
        let _ = self.bar.epoch(report, metrics); // a bar does not fail
        self.line(report.terms.total, metrics);
    }

    pub fn plain_epoch(&mut self, loss: f64, metrics: &[(String, f64)]) {
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
