//! Several micro-batches in one step of the optimizer.

use serde::{Deserialize, Serialize};

use super::{G2dTrainer, StepOutcome, Suppression};
use crate::{Result, error, variables::Copies};

/// Where a micro-batch stands among those whose gradients make one step of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Micro-batches of the window before this one.
    pub place: u64,
    /// Micro-batches in a whole window: the number given to
    /// [`G2dTrainerBuilder::accumulate`](crate::G2dTrainerBuilder::accumulate), else 1.
    pub length: u64,
}

impl Window {
    /// Is this its first micro-batch?
    pub fn is_first(&self) -> bool {
        self.place == 0
    }

    /// Does it end with this micro-batch?
    pub fn is_last(&self) -> bool {
        self.place + 1 == self.length
    }
}

/// The open window.
#[derive(Debug)]
pub(super) struct Accumulation {
    length: u64,
    done: u64,
    /// Running statistics at its beginning, where a step may have to be undone.
    before: Option<Copies>,
}

impl Accumulation {
    /// # Errors
    /// For a length of 0, and for what multiplies gradients of earlier micro-batches.
    pub(super) fn new(length: u64, suppression: Suppression, modulated: bool) -> Result<Self> {
        let refuse = |found: &str, mend: &str| {
            let expected = "micro-batches whose gradients add up";
            Err(error::config(format!("accumulate({length})"), expected, found, mend))
        };
        match suppression {
            _ if length == 0 => Err(error::config(
                "accumulate",
                "at least 1 micro-batch a step of the optimizer",
                "0",
                "leave it out, or pass how many",
            )),
            _ if length == 1 => Ok(Self { length, done: 0, before: None }),
            Suppression::ZeroGradient(_) => refuse(
                "`Suppression::ZeroGradient`, which multiplies all that has accumulated by κ",
                "take `Suppression::SkipBackward`, or do not accumulate",
            ),
            _ if modulated => refuse(
                "a gradient modulation, which multiplies all that has accumulated",
                "leave the modulation out, or do not accumulate",
            ),
            Suppression::SkipBackward => Ok(Self { length, done: 0, before: None }),
        }
    }

    /// Where the next micro-batch stands.
    pub(super) fn window(&self) -> Window {
        Window { place: self.done, length: self.length }
    }

    /// Forgets the open window; what it remembers of its beginning.
    pub(super) fn reset(&mut self) -> Option<Copies> {
        self.done = 0;
        self.before.take()
    }

    /// Counts a micro-batch.
    pub(super) fn advance(&mut self, window: Window, before: Option<Copies>) {
        if !window.is_last() {
            (self.done, self.before) = (window.place + 1, before);
        }
    }
}

impl G2dTrainer {
    /// Remembers the running statistics at a window's beginning, where a step may have to be undone.
    pub(super) fn open_window(&mut self) -> Result<()> {
        if self.accumulation.done == 0 && self.may_skip() {
            self.accumulation.before = Some(self.params.variables().snapshot()?);
        }
        Ok(())
    }

    /// Ends a window early, at the end of an epoch say: afterwards the gradients are the mean over
    /// the micro-batches that there were, ready for the optimizer. `None` if no window was open.
    ///
    /// # Errors
    /// As [`step`](Self::step) for gradients that are not finite.
    pub fn finish_window(&mut self) -> Result<Option<StepOutcome>> {
        let Window { place: done, length } = self.accumulation.window();
        if done == 0 {
            return Ok(None);
        }
        let before = self.accumulation.reset();
        let found = self.unscale(length as f64 / done as f64)?;
        let last = Window { place: length - 1, length };
        self.settle(last, found, None, before).map(Some)
    }

    /// Drops an open window and its gradients; how many micro-batches it had.
    pub(super) fn drop_window(&mut self) -> Result<u64> {
        let done = self.accumulation.done;
        if done > 0 {
            drop(self.accumulation.reset());
            self.params.variables().clear_gradients()?;
        }
        Ok(done)
    }
}
