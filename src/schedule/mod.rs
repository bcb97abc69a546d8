//! Sequential Modality Prioritization: who learns when. Numbers in, a plan out; no tensors.
//!
//! θ^m ← θ^m − η κ^m ∂L_G2D/∂θ^m: a scheduler chooses κ^m, the trainer applies it.
//!
//! - [`Sequential`]: stages τ_1, τ_2, … in which one modality after the other learns alone.
//! - [`PerBatch`]: the authors' code: within a window, each batch lets its weakest modality learn.
//! - [`Partial`]: stronger modalities are slowed by 1 − tanh(α·ratio), not stopped.
//! - [`Joint`]: all learn, always.
//! - [`SchedulerConfig`]: one of these, as a settings file names it.

mod candidates;
mod config;
mod joint;
mod partial;
mod per_batch;
mod plan;
mod ranking;
mod sequential;
pub(crate) mod window;

pub use candidates::Candidates;
pub use config::SchedulerConfig;
pub use joint::Joint;
pub use partial::Partial;
pub use per_batch::PerBatch;
pub use plan::Plan;
pub use ranking::Ranking;
pub use sequential::Sequential;

use serde::{Deserialize, Serialize};

use crate::{error::Result, modality::Modality, state::State};

/// Where training stands when a step is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs finished, so the first epoch is 0.
    pub epoch: u64,
    /// Steps finished in this epoch.
    pub step: u64,
    /// Steps finished in all.
    pub total_steps: u64,
}

/// Decides how much every encoder learns in a step.
///
/// # Contract
/// - `bind` comes first, once, with at least two modalities, and refuses a configuration that does
///   not fit them.
/// - Then `plan` once a step and `end_epoch` after an epoch's last step.
/// - `plan` depends only on the configuration and on what it was given since `bind`.
/// - `candidates` says which modalities this batch has, and holds their ρ where
///   `reads_confidence(at)` said so. Saying `false` where ρ is not needed spares the step a wait for
///   the device.
/// - A missing modality is not ranked against the present ones, and never the reason for an error.
/// - A ρ that is not finite is an error; equal values are ordered as the modalities are.
/// - The plan has one κ in [0, 1] for each modality. That of a missing one does not matter: the
///   trainer makes it 0.
pub trait SmpScheduler {
    /// Takes the modalities, and checks the configuration against them.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config), naming the setting.
    fn bind(&mut self, modalities: &[Modality]) -> Result<()>;

    /// Does it ever read ρ? Then the trainer demands teachers at build.
    fn needs_confidence(&self) -> bool {
        true
    }

    /// Will `plan` read ρ of the batch at this point?
    fn reads_confidence(&self, at: Progress) -> bool {
        let _ = at;
        self.needs_confidence()
    }

    /// κ for the step at `at`.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::error::Error::NonFinite) for a ρ that is not finite,
    /// [`Error::Config`](crate::error::Error::Config) for a wrong number of them.
    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan>;

    /// Takes the mean ρ of every modality over the samples of the epoch that ended: `None` without
    /// teachers, or where no sample had the modality.
    ///
    /// # Errors
    /// As `plan`.
    fn end_epoch(&mut self, epoch: u64, confidence: &[Option<f64>]) -> Result<()> {
        let _ = (epoch, confidence);
        Ok(())
    }

    /// What [`restore`](Self::restore) needs to go on after a stop; nothing by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch) where reading it waits for a device that failed.
    fn state(&self) -> Result<State> {
        Ok(State::none())
    }

    /// Takes back what [`state`](Self::state) said, in a part of the same configuration and after `bind`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for the state of another part; nothing has changed
    /// then.
    fn restore(&mut self, state: &State) -> Result<()> {
        state.expect_none("a scheduler that keeps none")
    }
}

const _: Option<&dyn SmpScheduler> = None; // stays object-safe

impl<T: SmpScheduler + ?Sized> SmpScheduler for Box<T> {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        (**self).bind(modalities)
    }

    fn needs_confidence(&self) -> bool {
        (**self).needs_confidence()
    }

    fn reads_confidence(&self, at: Progress) -> bool {
        (**self).reads_confidence(at)
    }

    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan> {
        (**self).plan(at, candidates)
    }

    fn end_epoch(&mut self, epoch: u64, confidence: &[Option<f64>]) -> Result<()> {
        (**self).end_epoch(epoch, confidence)
    }

    fn state(&self) -> Result<State> {
        (**self).state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }
}
