//! Sequential Modality Prioritization (SMP): which modality learns when.
//!
//! θ^m ← θ^m − η κ^m ∂L_G2D/∂θ^m: a scheduler chooses κ^m from numbers, without tensors; the trainer
//! applies it.
//!
//! - [`Sequential`]: stages τ_1, τ_2, … in which one modality after the other learns alone.
//! - [`Partial`]: stronger modalities are slowed by 1 − tanh(α·ratio).
//! - [`Joint`]: all modalities learn.
//! - [`SchedulerConfig`]: one of these, as in a settings file.

mod candidates;
mod config;
mod delegate;
mod joint;
mod partial;
mod plan;
mod ranking;
mod sequential;

pub use candidates::Candidates;
pub use config::SchedulerConfig;
pub use joint::Joint;
pub use partial::Partial;
pub use plan::Plan;
pub use ranking::Ranking;
pub use sequential::Sequential;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::modality::Modality;
use crate::state::State;

/// The position of a step in a training run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Number of finished epochs: 0 in the first epoch.
    pub epoch: u64,
    /// Number of finished steps of this epoch.
    pub step: u64,
    /// Number of finished steps of the run.
    pub total_steps: u64,
    /// Number of finished optimizer updates of the run: complete accumulation windows that were not
    /// skipped. Before a step it is the index of the update that the step belongs to, for example
    /// that of an [`LrSchedule`](crate::optim::LrSchedule). 0 in files of versions that did not
    /// count updates.
    #[serde(default)]
    pub updates: u64,
}

/// Decides how much every encoder learns in a step.
///
/// # Contract
/// - `bind` is called first, once, with at least two modalities, and refuses a configuration that does
///   not match them. Then `plan` is called once per step, and `end_epoch` after the last step of an
///   epoch.
/// - `plan` depends only on the configuration and the inputs since `bind`. A step that failed is
///   planned again at the same [`Progress`].
/// - `candidates` has the ρ of present modalities where `reads_confidence(at)` returned true. Return
///   false where ρ is not needed: reading it synchronises with the device.
/// - A missing modality is not compared with present ones and never causes an error.
/// - A ρ that is not finite is an error. Modalities of equal ρ are ranked in the student's order.
/// - The plan has one κ in [0, 1] per modality; the trainer sets that of a missing modality to 0.
///
/// # Example
/// ```
/// use g2d::{Modality, Result, SmpScheduler, schedule::{Candidates, Plan, Progress}};
///
/// /// One modality after the other learns alone, an epoch each.
/// #[derive(Default)]
/// struct Alternate { modalities: usize }
///
/// impl SmpScheduler for Alternate {
///     fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
///         self.modalities = modalities.len();
///         Ok(())
///     }
///     fn needs_confidence(&self) -> bool { false }
///     fn plan(&mut self, at: Progress, _candidates: &Candidates) -> Result<Plan> {
///         Ok(Plan::only(at.epoch as usize % self.modalities, self.modalities))
///     }
/// }
/// ```
pub trait SmpScheduler {
    /// Stores the modalities and checks the configuration against them.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), which names the setting.
    fn bind(&mut self, modalities: &[Modality]) -> Result<()>;

    /// Returns whether the scheduler ever reads ρ; the trainer then requires teachers.
    fn needs_confidence(&self) -> bool {
        true
    }

    /// Returns whether `plan` reads ρ of the batch at this point.
    fn reads_confidence(&self, at: Progress) -> bool {
        let _ = at;
        self.needs_confidence()
    }

    /// Returns κ of every modality for the step at `at`.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) for a ρ that is not finite,
    /// [`Error::Config`](crate::Error::Config) for a wrong number of modalities.
    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan>;

    /// Receives the mean ρ of every modality over the samples of the epoch that ended; `None` without
    /// teachers, and where no sample had the modality.
    ///
    /// # Errors
    /// As `plan`.
    fn end_epoch(&mut self, epoch: u64, confidence: &[Option<f64>]) -> Result<()> {
        let _ = (epoch, confidence);
        Ok(())
    }

    /// Returns what [`restore`](Self::restore) needs to resume a run; [`State::none`] by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if the device has failed.
    fn state(&self) -> Result<State> {
        Ok(State::none())
    }

    /// Restores what [`state`](Self::state) returned. Called after `bind`, on a scheduler of the same
    /// configuration.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another scheduler; nothing has changed
    /// then.
    fn restore(&mut self, state: &State) -> Result<()> {
        state.expect_none("a scheduler that keeps none")
    }
}

const _: Option<&dyn SmpScheduler> = None; // stays object-safe

impl<T: SmpScheduler + ?Sized> SmpScheduler for Box<T> {
    delegate::delegate!(all, scheduler => (**scheduler));
}
