//! A run that holds its parts and its snapshots.

use std::{ops::Range, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use tch::nn::VarStore;

use super::{Best, Optimizers, RunParts, Snapshot, SnapshotFolder, unsaved::Unsaved};
use crate::algorithm::Algorithm;
use crate::error::{self, Error, Result};
use crate::optim::Optimizer;
use crate::step::StepReport;
use crate::trainer::G2dTrainer;

/// A run whose parts are given once: it saves them in snapshots, resumes from the newest one, restores the
/// weights of the best one, and ends after a number of epochs without a better score.
///
/// `trainer` and `optimizer` are used as in any loop. `state` is the state of the caller's loop, such as
/// a list of scores, which snapshots contain.
///
/// # Example
/// ```no_run
/// # use g2d::{checkpoint::ResumableRun, metrics, optim::Optimizer, prelude::*};
/// # fn train(
/// #     model: &dyn Student, vs: tch::nn::VarStore, trainer: G2dTrainer, optimizer: Optimizer,
/// #     loader: impl Fn(u64) -> Vec<Batch>, val: impl Fn() -> Vec<g2d::Result<Batch>>,
/// # ) -> g2d::Result<()> {
/// let mut run = ResumableRun::builder("runs/mine/checkpoints", trainer, optimizer)
///     .weights("student", &vs)
///     .every(500) // steps, besides a snapshot per epoch
///     .patience(10)
///     .resume(Vec::new())?; // the state of a new run
/// for epoch in run.epochs(300) {
///     for batch in loader(epoch).into_iter().skip(run.batches_done()) {
///         run.optimizer.zero_grad()?;
///         let report = run.trainer.step(model, &batch)?;
///         run.optimizer.step()?;
///         run.save_if_due(&report)?;
///     }
///     run.state.push(run.trainer.end_epoch()?);
///     let found = run.trainer.evaluate(model, val())?;
///     run.save(metrics::selection_score(&found.logits, &found.targets)?)?;
///     if run.is_exhausted() {
///         break;
///     }
/// }
/// run.restore_best()?; // then evaluate on the test data, once
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ResumableRun<S = (), O = Optimizer, T = G2dTrainer> {
    /// The trainer, or another algorithm.
    pub trainer: T,
    /// The optimizer, or several ones.
    pub optimizer: O,
    /// The state of the caller's loop.
    pub state: S,
    weights: Vec<(String, VarStore)>,
    snapshots: SnapshotFolder,
    best: Best,
    /// The weights with the best score, if their snapshot could not be written.
    unsaved: Option<Unsaved>,
    every: Option<u64>,
    patience: Option<u64>,
}

/// The parts and the settings of a [`ResumableRun`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `resume`"]
pub struct Builder<O = Optimizer, T = G2dTrainer> {
    folder: PathBuf,
    trainer: T,
    optimizer: O,
    weights: Vec<(String, VarStore)>,
    keep_last: usize,
    best: Best,
    every: Option<u64>,
    patience: Option<u64>,
}

impl ResumableRun {
    /// A builder of a run with snapshots in `folder`. By default a snapshot is taken where
    /// [`save`](Self::save) is called, the 2 newest snapshots and the one with the highest score are kept,
    /// and no score ends the run.
    ///
    /// `trainer` is a [`G2dTrainer`] or another [`Algorithm`], such as a `Box<dyn Algorithm>`.
    pub fn builder<O: Optimizers, T: Algorithm>(
        folder: impl Into<PathBuf>,
        trainer: T,
        optimizer: O,
    ) -> Builder<O, T> {
        Builder {
            folder: folder.into(),
            trainer,
            optimizer,
            weights: Vec::new(),
            keep_last: 2,
            best: Best::default(),
            every: None,
            patience: None,
        }
    }
}

impl<O: Optimizers, T: Algorithm> Builder<O, T> {
    /// Adds the parameters and buffers of `vs` under a name of ASCII letters, digits, '-' and '_'. Add every
    /// `VarStore` that is trained. The run shares its variables and does not borrow it.
    pub fn weights(mut self, name: impl Into<String>, vs: &VarStore) -> Self {
        let mut shared = VarStore::new(vs.device());
        shared.variables_ = vs.variables_.clone();
        self.weights.push((name.into(), shared));
        self
    }

    /// Sets how many of the newest snapshots are kept, at least 1.
    pub fn keep_last(mut self, count: usize) -> Self {
        self.keep_last = count;
        self
    }

    /// Sets which score is the best. The snapshot with the best score is always kept.
    pub fn best_is(mut self, best: Best) -> Self {
        self.best = best;
        self
    }

    /// Takes a snapshot every so many steps in [`ResumableRun::save_if_due`], at least 1.
    pub fn every(mut self, steps: u64) -> Self {
        self.every = Some(steps);
        self
    }

    /// Ends the run after this number of epochs in a row without a better score, at least 1.
    pub fn patience(mut self, epochs: u64) -> Self {
        self.patience = Some(epochs);
        self
    }

    /// Resumes from the newest snapshot of the folder, or starts a run whose caller has `state`.
    ///
    /// # Errors
    /// [`Error::Config`] without weights, for an invalid name, and for an interval or
    /// a patience of 0; any error of [`SnapshotFolder::open`] and [`SnapshotFolder::resume`]. If the newest
    /// snapshot is damaged, older ones are not used instead.
    pub fn resume<S: Serialize + DeserializeOwned>(
        self,
        state: S,
    ) -> Result<ResumableRun<S, O, T>> {
        let Self { folder, trainer, optimizer, weights, keep_last, best, every, patience } = self;
        if weights.is_empty() {
            let what = "weights of a resumable run";
            let hint = "call `.weights(\"student\", &vs)` for every `VarStore` that is trained";
            return Err(error::config(what, "at least one `VarStore`", "none", hint));
        }
        for (what, found) in [("interval of snapshots", every), ("patience of a run", patience)] {
            if found == Some(0) {
                return Err(error::out_of_range(what, "at least 1", 0));
            }
        }
        let snapshots = SnapshotFolder::open(folder)?.keep_last(keep_last).best_is(best);
        let mut run = ResumableRun {
            trainer,
            optimizer,
            state,
            weights,
            snapshots,
            best,
            unsaved: None,
            every,
            patience,
        };
        run.parts().check_names()?;
        if let Some(state) = run.resumed()? {
            run.state = state;
        }
        Ok(run)
    }
}

impl<S: Serialize + DeserializeOwned, O: Optimizers, T: Algorithm> ResumableRun<S, O, T> {
    /// The epochs to train, until `end` epochs are finished; none if the run
    /// [is exhausted](Self::is_exhausted).
    pub fn epochs(&self, end: u64) -> Range<u64> {
        let next = self.trainer.progress().epoch;
        next..if self.is_exhausted() { next } else { end.max(next) }
    }

    /// The number of batches of the current epoch that are done. A resumed epoch skips them.
    pub fn batches_done(&self) -> usize {
        usize::try_from(self.trainer.progress().step).unwrap_or(usize::MAX)
    }

    /// Saves a snapshot if one is due after the step of `report`, and returns whether it has. With
    /// accumulation it is due at the end of a window.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_if_due(&mut self, report: &StepReport) -> Result<bool> {
        let due = self.every.is_some_and(|every| report.is_due(every));
        if due {
            self.save(None)?;
        }
        Ok(due)
    }

    /// Saves a snapshot of all parts and of `state`, then removes old ones. `score` is the result of a
    /// validation at this position, if there was one. Synchronises with the device.
    ///
    /// # Errors
    /// As [`SnapshotFolder::save`]. Existing snapshots are unchanged then, and the run can continue. After an
    /// [`Error::Io`] the weights are held in memory if their score is the best.
    pub fn save(&mut self, score: impl Into<Option<f64>>) -> Result<()> {
        let score = score.into();
        let Self { trainer, optimizer, state, weights, snapshots, .. } = self;
        let saved = snapshots.save(&mut parts(trainer, weights, optimizer), state, score).map(drop);
        let best = self.best_scored().map(|(score, _)| score);
        match (&saved, score) {
            (Err(Error::Io { .. }), Some(score))
                if best.is_none_or(|best| self.best.prefers(score, best)) =>
            {
                let epoch = self.trainer.progress().epoch;
                self.unsaved = Some(Unsaved::new(score, epoch, &self.weights)?);
            }
            (Ok(()), _) => self.unsaved = self.unsaved.take().filter(|own| best == Some(own.score)),
            _ => {}
        }
        saved
    }

    /// The number of epochs that were finished at the best score; `None` if no snapshot has a score.
    pub fn best_epoch(&self) -> Option<u64> {
        self.best_scored().map(|(_, epoch)| epoch)
    }

    /// The best score, and the number of epochs that were finished then.
    fn best_scored(&self) -> Option<(f64, u64)> {
        let scored = |best: &Snapshot| Some((best.score()?, best.progress().epoch));
        let saved = self.snapshots.best().and_then(scored);
        let unsaved = self.unsaved.as_ref().map(|own| (own.score, own.epoch));
        match (saved, unsaved) {
            (Some(saved), Some(unsaved)) if self.best.prefers(saved.0, unsaved.0) => Some(saved),
            (saved, unsaved) => unsaved.or(saved),
        }
    }

    /// Returns whether the last epochs, as many as the patience, had no better score than an epoch before.
    pub fn is_exhausted(&self) -> bool {
        let Some((patience, best)) = self.patience.zip(self.best_epoch()) else {
            return false;
        };
        self.trainer.progress().epoch >= best.saturating_add(patience)
    }

    /// Loads the weights of the snapshot with the best score, and returns that score; those in memory if their
    /// snapshot could not be written. The other parts do not change.
    ///
    /// # Errors
    /// [`Error::Config`] without a snapshot that has a score; as [`Snapshot::load`].
    pub fn restore_best(&mut self) -> Result<f64> {
        let Some((score, _)) = self.best_scored() else {
            let hint = "pass a score to `save` after each epoch";
            return Err(error::config("best snapshot", "one with a score", "none", hint));
        };
        if let Some(unsaved) = self.unsaved.as_ref().filter(|own| own.score == score) {
            return unsaved.restore();
        }
        if let Some(best) = self.snapshots.best() {
            best.load_all_weights(self.weights.iter().map(|(name, vs)| (name.as_str(), vs)))?;
        }
        Ok(score)
    }

    /// The folder of snapshots.
    pub fn snapshots(&self) -> &SnapshotFolder {
        &self.snapshots
    }

    /// Restores the parts from the newest snapshot, and returns the state of the caller's loop.
    fn resumed(&mut self) -> Result<Option<S>> {
        let Self { trainer, optimizer, weights, snapshots, .. } = self;
        snapshots.resume(&mut parts(trainer, weights, optimizer))
    }

    fn parts(&mut self) -> RunParts<'_> {
        parts(&mut self.trainer, &self.weights, &mut self.optimizer)
    }
}

fn parts<'a, O: Optimizers>(
    trainer: &'a mut dyn Algorithm,
    weights: &'a [(String, VarStore)],
    optimizers: &'a mut O,
) -> RunParts<'a> {
    let parts = weights
        .iter()
        .fold(RunParts::new(trainer), |parts, (name, vs)| parts.weights(name.as_str(), vs));
    let named = optimizers.named().into_iter();
    named.fold(parts, |parts, (name, optimizer)| parts.optimizer(name, optimizer))
}
