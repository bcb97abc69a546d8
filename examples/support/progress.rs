//! Progress of trainings: bars on a terminal, otherwise a line every ten epochs.

use g2d::record::ConsoleProgress;
use indicatif::MultiProgress;

/// The progress of all trainings of a comparison.
#[derive(Default)]
pub struct ProgressBars(MultiProgress);

impl ProgressBars {
    /// Runs `print` while no bar is drawn.
    pub fn suspend<R>(&self, print: impl FnOnce() -> R) -> R {
        self.0.suspend(print)
    }

    /// Adds a training of `epochs` epochs, of which `done` have been trained before.
    pub fn add(&self, name: &str, epochs: u64, done: u64) -> ConsoleProgress {
        ConsoleProgress::with_group(&self.0, name, epochs).starting_at(done).with_lines(10)
    }
}
