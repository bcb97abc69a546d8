//! The state of a trainer between steps, for a checkpoint.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::{
    G2dTrainer, LossScale, agreed,
    totals::{EpochTotals, EpochTotalsState},
};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::ranks::Call;
use crate::schedule::Progress;
use crate::state::State;

/// What a trainer must get back so that a run resumes as if it had never stopped: its position, the
/// means of the current epoch, the loss scale of fp16, and the states of scheduler, modulation and
/// probes.
///
/// Read and written with serde; [`checkpoint`](crate::checkpoint) does so for whole runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResumeState {
    modalities: Vec<Modality>,
    progress: Progress,
    totals: EpochTotalsState,
    loss_scale: Option<LossScale>,
    skipped_in_a_row: u32,
    scheduler: State,
    /// Empty without a modulation.
    modulation: State,
    probes: Vec<State>,
    /// The state of an algorithm other than `G2dTrainer`.
    #[serde(default, skip_serializing_if = "State::is_none")]
    algorithm: State,
}

impl ResumeState {
    /// The state of an algorithm other than `G2dTrainer`.
    pub(crate) fn of_algorithm(
        modalities: &[Modality],
        progress: Progress,
        totals: &EpochTotals,
        algorithm: State,
    ) -> Result<Self> {
        Ok(Self {
            modalities: modalities.to_vec(),
            progress,
            totals: totals.state()?,
            loss_scale: None,
            skipped_in_a_row: 0,
            scheduler: State::none(),
            modulation: State::none(),
            probes: Vec::new(),
            algorithm,
        })
    }

    /// The state of an algorithm other than `G2dTrainer`; none of that.
    pub(crate) fn algorithm(&self) -> &State {
        &self.algorithm
    }

    /// The means of the epoch so far, of these modalities.
    pub(crate) fn totals(&self, modalities: &[Modality]) -> Result<EpochTotals> {
        self.check_modalities(modalities)?;
        if self.totals.has_modalities(modalities.len()) {
            return Ok(self.totals.clone().into());
        }
        let expected = format!("of {} modalities", modalities.len());
        Err(error::foreign_state("means of the epoch", expected, "another number"))
    }

    fn check_modalities(&self, own: &[Modality]) -> Result<()> {
        if self.modalities == own {
            return Ok(());
        }
        differs("modalities", format!("{own:?}"), format!("{:?}", self.modalities))
    }

    /// The position in the training run.
    pub fn progress(&self) -> Progress {
        self.progress
    }
}

impl G2dTrainer {
    /// The state that [`restore`](Self::restore) needs. Synchronises with the device. With a group of ranks
    /// all call it, and receive the state of all: any number of ranks resumes from it.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) inside an accumulation window, whose gradients no state
    /// holds; [`Error::NonFinite`](crate::Error::NonFinite) for a deferred loss that is not finite.
    pub fn state(&mut self) -> Result<ResumeState> {
        let ready = self.window.expect_closed("state of the trainer");
        let ready = ready.and_then(|()| self.guard.read(&[]).map(drop));
        self.ranks.agree(Call::State, self.progress.total_steps, ready, |()| Vec::new())?;
        self.replica_buffers.apply(&self.ranks, self.params.variables())?;
        let (totals, probes) = self
            .observers
            .combined_state(self.objective.modalities(), &self.ranks)
            .map_err(|error| self.ranks.close_after(error))?;
        Ok(ResumeState {
            modalities: self.modalities().to_vec(),
            progress: self.progress,
            totals,
            loss_scale: self.loss_scale(),
            skipped_in_a_row: self.guard.skipped_in_a_row(),
            scheduler: self.planner.state()?,
            modulation: self.modulation.as_ref().map_or(Ok(State::none()), |m| m.state())?,
            probes,
            algorithm: State::none(),
        })
    }

    /// Resumes from the [`state`](Self::state) of a trainer with the same parts. With a group of ranks all
    /// restore the same state.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another trainer: other modalities or
    /// another order of them, another precision, scheduler, modulation or probes. Nothing has changed
    /// then.
    pub fn restore(&mut self, state: &ResumeState) -> Result<()> {
        let steps = self.progress.total_steps;
        let checked = self.check_state(state);
        let shown = |()| vec![state.progress.total_steps as f64];
        let (_, rows) = self.ranks.agree(Call::Restore, steps, checked, |()| shown(()))?;
        let hint = "let all ranks read the same snapshot";
        agreed::same(&rows, 0..1, "steps in the state", hint)?;
        let before = self.state()?;
        let taken = self.take(state);
        let agreed = self.ranks.agree(Call::Restore, steps, taken, |()| Vec::new());
        agreed.map(drop).or_else(|refused| {
            self.take(&before)?;
            Err(refused)
        })
    }

    /// Refuses the state of another trainer.
    fn check_state(&self, state: &ResumeState) -> Result<()> {
        self.window.expect_closed("restoring the trainer")?;
        let found = |there: bool| if there { "one" } else { "none" };
        state.check_modalities(self.modalities())?;
        if !state.algorithm.is_none() {
            return differs("algorithm", "G2dTrainer", "another one");
        }
        if self.modulation.is_none() && !state.modulation.is_none() {
            return differs("gradient modulation", "none", "the state of one");
        }
        match (self.loss_scale(), state.loss_scale) {
            (Some(_), Some(LossScale { scale, .. })) if !(scale.is_finite() && scale > 0.0) => {
                return differs("loss scale", "a finite number above 0", scale);
            }
            (here, there) if here.is_some() != there.is_some() => {
                return differs("loss scale (fp16)", found(here.is_some()), found(there.is_some()));
            }
            _ => {}
        }
        self.observers.check(&state.totals, &state.probes)
    }

    fn take(&mut self, state: &ResumeState) -> Result<()> {
        self.planner.restore(&state.scheduler)?;
        if let Some(modulation) = &mut self.modulation {
            modulation.restore(&state.modulation)?;
        }
        self.observers.restore(&state.totals, &state.probes, self.ranks.rank() == 0)?;
        self.window.restore_loss_scale(state.loss_scale);
        self.guard.restore(state.skipped_in_a_row);
        self.progress = state.progress;
        Ok(())
    }
}

/// The error of a state from a trainer with another configuration.
fn differs(what: &str, here: impl Display, there: impl Display) -> Result<()> {
    Err(error::foreign_state(format_args!("{what} of the restored trainer"), here, there))
}
