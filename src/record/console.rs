//! A progress bar.

use std::fmt::Write as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Outcome, Recorder};
use crate::{error::Result, step::EpochReport};

/// A bar over epochs with loss, metrics (per-modality accuracy, say) and κ, on stderr.
///
/// Drawn only where stderr is a terminal; elsewhere it prints nothing.
#[derive(Debug, Clone)]
pub struct ConsoleProgress {
    bar: ProgressBar,
}

impl ConsoleProgress {
    /// A bar called `name` over `epochs` epochs.
    pub fn new(name: &str, epochs: u64) -> Self {
        Self::on(name, epochs, ProgressDrawTarget::stderr())
    }

    /// One of several bars that are drawn together.
    pub fn among(bars: &indicatif::MultiProgress, name: &str, epochs: u64) -> Self {
        let progress = Self::on(name, epochs, ProgressDrawTarget::hidden());
        Self { bar: bars.add(progress.bar) }
    }

    fn on(name: &str, epochs: u64, target: ProgressDrawTarget) -> Self {
        const TEMPLATE: &str = "{prefix:>12} [{bar:24}] {pos:>3}/{len} {eta:>4}  {msg}";
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(epochs), target).with_style(style);
        bar.set_prefix(name.to_owned());
        Self { bar }
    }

    /// Shows a run that goes on behind `done` epochs.
    #[must_use]
    pub fn starting_at(self, done: u64) -> Self {
        self.bar.set_position(done);
        self.bar.reset_eta();
        self
    }

    /// Advances by one epoch and shows its numbers.
    pub fn epoch(&self, report: &EpochReport, metrics: &[(String, f64)]) {
        self.show(
            report.terms.total,
            metrics,
            report.modalities.iter().map(|m| m.name()).zip(&report.kappa),
        );
    }

    /// Advances by one epoch of a plain (unimodal) training.
    pub fn plain_epoch(&self, loss: f64, metrics: &[(String, f64)]) {
        self.show(loss, metrics, std::iter::empty());
    }

    fn show<'a>(
        &self,
        loss: f64,
        metrics: &[(String, f64)],
        kappa: impl Iterator<Item = (&'a str, &'a f64)>,
    ) {
        let mut text = format!("loss {loss:.3}");
        for (name, value) in metrics {
            let _ = write!(text, "  {name} {value:.1}");
        }
        for (i, (name, value)) in kappa.enumerate() {
            let _ = write!(text, "{} {name} {value:.2}", if i == 0 { "  κ" } else { "" });
        }
        self.bar.set_message(text);
        self.bar.inc(1);
    }

    /// Ends the bar and leaves its last line.
    pub fn finish(&self) {
        self.bar.finish();
    }
}

impl Recorder for ConsoleProgress {
    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        ConsoleProgress::epoch(self, report, metrics);
        Ok(())
    }

    fn finish(&mut self, _outcome: &Outcome) -> Result<()> {
        ConsoleProgress::finish(self);
        Ok(())
    }
}
