//! A progress bar.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Outcome, Recorder};
use crate::error::Result;
use crate::step::EpochReport;

/// A progress bar over epochs on stderr, with loss, metrics and κ.
///
/// Nothing is drawn unless stderr is a terminal; [`with_lines`](Self::with_lines) writes lines there.
#[derive(Debug, Clone)]
pub struct ConsoleProgress {
    bar: ProgressBar,
    /// Epochs between two lines where stderr is no terminal; 0 for no lines.
    lines: u64,
}

impl ConsoleProgress {
    /// A bar called `name` over `epochs` epochs.
    pub fn new(name: &str, epochs: u64) -> Self {
        Self::with_target(name, epochs, ProgressDrawTarget::stderr())
    }

    /// A bar that is drawn together with the other bars of a group.
    pub fn with_group(group: &MultiProgress, name: &str, epochs: u64) -> Self {
        let progress = Self::with_target(name, epochs, ProgressDrawTarget::hidden());
        Self { bar: group.add(progress.bar), lines: 0 }
    }

    fn with_target(name: &str, epochs: u64, target: ProgressDrawTarget) -> Self {
        const TEMPLATE: &str = "{prefix:>12} [{bar:24}] {pos:>3}/{len} {eta:>4}  {msg}";
        let style = ProgressStyle::with_template(TEMPLATE)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(epochs), target).with_style(style);
        bar.set_prefix(name.to_owned());
        Self { bar, lines: 0 }
    }

    /// Sets the number of epochs that a resumed run has completed.
    #[must_use]
    pub fn starting_at(self, epochs: u64) -> Self {
        self.bar.set_position(epochs);
        self.bar.reset_eta();
        self
    }

    /// Writes a line every so many epochs, and for the last one, where stderr is no terminal, as in a job that
    /// runs in the background. 0, the default, writes none.
    #[must_use]
    pub fn with_lines(self, epochs: u64) -> Self {
        Self { lines: epochs, ..self }
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
        text += &kappa;
        self.bar.inc(1);
        if let Some(line) = self.line(&text).filter(|_| !std::io::stderr().is_terminal()) {
            let _ = std::io::stderr().write_all(line.as_bytes()); // a closed stderr stops no training
        }
        self.bar.set_message(text);
    }

    /// The line of an epoch, if one is due.
    fn line(&self, text: &str) -> Option<String> {
        let (epoch, epochs) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let due = epoch.checked_rem(self.lines)? == 0 || epoch == epochs;
        due.then(|| format!("{:>14} {epoch:>3}/{epochs}  {text}\n", self.bar.prefix()))
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

#[cfg(test)]
mod tests {
    use super::ConsoleProgress;

    #[test]
    fn lines_are_due_at_the_interval_and_at_the_end() {
        let bar = ConsoleProgress::new("joint", 7).with_lines(3).starting_at(1);
        let due = |bar: &ConsoleProgress| {
            bar.bar.inc(1);
            bar.line("loss 0.5").is_some().then(|| bar.bar.position())
        };
        let found: Vec<u64> = (0..6).filter_map(|_| due(&bar)).collect();
        assert_eq!(found, [3, 6, 7]);
        assert_eq!(bar.line("loss 0.5").unwrap(), "         joint   7/7  loss 0.5\n");
        let bar = ConsoleProgress::new("joint", 2);
        assert!((0..2).all(|_| due(&bar).is_none()), "by default");
    }
}
