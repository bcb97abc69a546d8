//! A progress bar.

use std::fmt::Write as _;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Outcome, Recorder};
use crate::error::Result;
use crate::step::EpochReport;

/// A progress bar over epochs on stderr, with loss, metrics and κ.
///
/// Nothing is drawn unless stderr is a terminal.
#[derive(Debug, Clone)]
pub struct ConsoleProgress {
    bar: ProgressBar,
}

impl ConsoleProgress {
    /// A bar called `name` over `epochs` epochs.
    pub fn new(name: &str, epochs: u64) -> Self {
        Self::with_target(name, epochs, ProgressDrawTarget::stderr())
    }

    /// A bar that is drawn together with the other bars of a group.
    pub fn with_group(group: &MultiProgress, name: &str, epochs: u64) -> Self {
        let progress = Self::with_target(name, epochs, ProgressDrawTarget::hidden());
        Self { bar: group.add(progress.bar) }
    }

    fn with_target(name: &str, epochs: u64, target: ProgressDrawTarget) -> Self {
        const TEMPLATE: &str = "{prefix:>12} [{bar:24}] {pos:>3}/{len} {eta:>4}  {msg}";
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(epochs), target).with_style(style);
        bar.set_prefix(name.to_owned());
        Self { bar }
    }

    /// Sets the number of epochs that a resumed run has completed.
    #[must_use]
    pub fn starting_at(self, epochs: u64) -> Self {
        self.bar.set_position(epochs);
        self.bar.reset_eta();
        self
    }

    /// Advances by an epoch of a training that has no [`EpochReport`], such as that of a teacher.
    pub fn unimodal_epoch(&self, loss: f64, metrics: &[(String, f64)]) {
        self.advance(loss, metrics, String::new());
    }

    /// Advances by an epoch, with `kappa` as text.
    fn advance(&self, loss: f64, metrics: &[(String, f64)], kappa: String) {
        let mut text = format!("loss {loss:.3}");
        for (name, value) in metrics {
            let _ = write!(text, "  {name} {value:.1}");
        }
        self.bar.set_message(text + &kappa);
        self.bar.inc(1);
    }

    /// Completes the bar and leaves its last line.
    pub fn finish(&self) {
        self.bar.finish();
    }
}

impl Recorder for ConsoleProgress {
    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        let each = report.modalities.iter().zip(&report.kappa);
        let each: Vec<_> = each.map(|(name, kappa)| format!("{name} {kappa:.2}")).collect();
        self.advance(report.terms.total, metrics, format!("  κ {}", each.join(" ")));
        Ok(())
    }

    fn finish(&mut self, _outcome: &Outcome) -> Result<()> {
        ConsoleProgress::finish(self);
        Ok(())
    }
}
