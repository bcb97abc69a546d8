//! The snapshots of a student's training.

use std::path::Path;

use anyhow::Result;
use g2d::{
    EpochReport, Error, G2dTrainer,
    checkpoint::{RunParts, SnapshotFolder},
    optim::Optimizer,
    weights::BestEpoch,
};
use tch::nn::VarStore;

/// The name of the weights in a snapshot.
const WEIGHTS: &str = "student";

/// The mutable parts of a student's training, which a snapshot saves.
pub struct TrainingParts {
    pub trainer: G2dTrainer,
    pub vs: VarStore,
    pub optimizer: Optimizer,
}

/// The completed epochs.
#[derive(Default)]
pub struct CompletedEpochs {
    pub reports: Vec<EpochReport>,
    pub best: BestEpoch,
}

/// The folder of a student's snapshots.
pub struct StudentSnapshots {
    folder: SnapshotFolder,
    /// Steps between two snapshots within an epoch.
    every: Option<u64>,
}

impl TrainingParts {
    fn run_parts(&mut self) -> RunParts<'_> {
        RunParts::new(&mut self.trainer)
            .weights(WEIGHTS, &mut self.vs)
            .optimizer("sgd", &mut self.optimizer)
    }
}

impl StudentSnapshots {
    /// Opens the folder and restores `parts` from its newest snapshot, if there is one.
    pub fn resume(
        folder: &Path,
        every: Option<u64>,
        parts: &mut TrainingParts,
    ) -> Result<(Self, CompletedEpochs)> {
        let folder = SnapshotFolder::open(folder)?;
        let mut completed = CompletedEpochs::default();
        if let Some(best) = folder.best() {
            best.load_weights(WEIGHTS, &mut parts.vs)?;
            completed.best.keep(best.score().unwrap_or(f64::NEG_INFINITY), &parts.vs)?;
        }
        completed.reports = folder.resume(&mut parts.run_parts())?.unwrap_or_default();
        Ok((Self { folder, every }, completed))
    }

    /// Returns whether a snapshot is due after the last step.
    pub fn is_due(&self, trainer: &G2dTrainer) -> bool {
        self.every.is_some_and(|every| trainer.progress().total_steps.is_multiple_of(every))
    }

    /// Saves a snapshot; `score` is that of a completed epoch. If the disk fails, training continues
    /// and a message is printed.
    pub fn save(
        &mut self,
        parts: &mut TrainingParts,
        completed: &CompletedEpochs,
        score: Option<f64>,
    ) -> Result<()> {
        match self.folder.save(&mut parts.run_parts(), &completed.reports, score) {
            Ok(_) => Ok(()),
            Err(error @ Error::Io { .. }) => {
                eprintln!("cannot save a snapshot: {error}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
