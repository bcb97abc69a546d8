//! What a trainer remembers between steps, for a checkpoint.

use serde::{Deserialize, Serialize};

use super::{G2dTrainer, LossScale, report::EpochTotalsState};
use crate::{Modality, Progress, Result, State, error};

/// What a trainer must get back for a run to go on as if it had never stopped: where it stands, the
/// epoch's means so far, fp16's loss scale, and what its scheduler, modulation and probes remember.
///
/// Written and read with serde; [`checkpoint`](crate::checkpoint) does so for whole runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerState {
    modalities: Vec<Modality>,
    progress: Progress,
    totals: EpochTotalsState,
    loss_scale: Option<LossScale>,
    skipped_in_a_row: u32,
    scheduler: State,
    modulation: Option<State>,
    probes: Vec<State>,
}

impl TrainerState {
    /// Where training stood.
    pub fn progress(&self) -> Progress {
        self.progress
    }
}

impl G2dTrainer {
    /// What [`restore`](Self::restore) needs to go on after a stop. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) inside an accumulation window, whose gradients no state
    /// holds; [`Error::NonFinite`](crate::Error::NonFinite) for a loss that was not read before.
    pub fn state(&mut self) -> Result<TrainerState> {
        self.expect_no_window("state of the trainer")?;
        self.read_unread(&[])?;
        let modulation = self.modulation.as_ref().map(|modulation| modulation.state());
        Ok(TrainerState {
            modalities: self.modalities.clone(),
            progress: self.progress,
            totals: self.totals.state()?,
            loss_scale: self.loss_scale(),
            skipped_in_a_row: self.skipped_in_a_row,
            scheduler: self.scheduler.state()?,
            modulation: modulation.transpose()?,
            probes: self.probes.iter().map(|probe| probe.state()).collect::<Result<_>>()?,
        })
    }

    /// Goes on from what [`state`](Self::state) of a trainer with the same parts said.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another trainer: other modalities or
    /// another order of them, another precision, scheduler, modulation or probes. Nothing has changed
    /// then.
    pub fn restore(&mut self, state: &TrainerState) -> Result<()> {
        self.expect_no_window("restoring the trainer")?;
        let differs = |what: &str, here: String, there: String| {
            let mend = "resume with the configuration that the run was started with";
            Err(error::config(format!("{what} of the restored trainer"), here, there, mend))
        };
        let count = |probes: usize| format!("{probes}");
        if state.modalities != self.modalities {
            let [here, there] = [&self.modalities, &state.modalities].map(|m| format!("{m:?}"));
            return differs("modalities", here, there);
        }
        if state.probes.len() != self.probes.len() {
            return differs("probes", count(self.probes.len()), count(state.probes.len()));
        }
        let either = |there: bool| if there { "one" } else { "none" }.to_owned();
        let pairs = [
            ("gradient modulation", self.modulation.is_some(), state.modulation.is_some()),
            ("loss scale (fp16)", self.loss_scale().is_some(), state.loss_scale.is_some()),
        ];
        if let Some((what, here, there)) = pairs.into_iter().find(|(_, here, there)| here != there)
        {
            return differs(what, either(here), either(there));
        }
        if let Some(LossScale { scale, .. }) = state.loss_scale
            && !(scale.is_finite() && scale > 0.0)
        {
            return differs("loss scale", "a finite number above 0".into(), format!("{scale}"));
        }
        if !state.totals.is_of(self.modalities.len()) {
            let expected = format!("means of {} modalities", self.modalities.len());
            return differs("epoch's means", expected, "another number".into());
        }
        let before = self.state()?;
        self.take(state).or_else(|refused| {
            self.take(&before)?;
            Err(refused)
        })
    }

    fn take(&mut self, state: &TrainerState) -> Result<()> {
        self.scheduler.restore(&state.scheduler)?;
        if let (Some(modulation), Some(state)) = (&mut self.modulation, &state.modulation) {
            modulation.restore(state)?;
        }
        for (probe, state) in self.probes.iter_mut().zip(&state.probes) {
            probe.restore(state)?;
        }
        self.loss_scale = state.loss_scale.unwrap_or(self.loss_scale);
        self.progress = state.progress;
        self.totals = state.totals.clone().into();
        self.skipped_in_a_row = state.skipped_in_a_row;
        Ok(())
    }

    fn expect_no_window(&self, what: &str) -> Result<()> {
        let window = self.accumulation.window();
        if window.is_first() {
            return Ok(());
        }
        Err(error::config(
            what,
            "no open accumulation window",
            format!("one of {} of {} micro-batches", window.place, window.length),
            "ask where the outcome is ready, or call `finish_window` and step the optimizer first",
        ))
    }
}
