//! A scheduler by name, as in a settings file.

use serde::{Deserialize, Serialize};

use super::{Joint, Partial, Sequential, SmpScheduler, delegate::delegate};
use crate::error::{self, Error, Result};

/// One of the crate's schedulers, chosen by its `type`:
///
/// ```toml
/// type = "sequential"            # or "joint"
/// stages = [150]
/// start = 20                     # 0 by default
/// ranking = "previous_epoch"     # or "batch", or { fixed = ["visual", "audio"] },
///                                # or { held_out = [["visual", 0.7], ["audio", 0.5]] }
/// ```
/// ```toml
/// type = "partial"
/// alpha = 0.5
/// epochs = { start = 0, end = 150 }   # without the end
/// ```
/// ```toml
/// type = "per_batch"                  # one sequential stage, ranked by batch
/// window = { first = 0, last = 150 }  # both included
/// ```
///
/// An unknown name is an error that lists the known ones. What a scheduler has learned in a run is not
/// part of its configuration, but of [`SmpScheduler::state`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", try_from = "Form")]
pub enum SchedulerConfig {
    /// All modalities learn.
    Joint(Joint),
    /// One modality after the other learns alone.
    Sequential(Sequential),
    /// Stronger modalities are slowed.
    Partial(Partial),
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self::Joint(Joint::default())
    }
}

impl SmpScheduler for SchedulerConfig {
    delegate!(
        all,
        Self::Joint(joint) => joint,
        Self::Sequential(sequential) => sequential,
        Self::Partial(partial) => partial
    );
}

/// The forms that are read.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Form {
    Joint(Joint),
    Sequential(Sequential),
    PerBatch(PerBatch),
    Partial(Partial),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PerBatch {
    window: Window,
}

/// A range of epochs that includes both ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    first: u64,
    last: u64,
}

impl TryFrom<Form> for SchedulerConfig {
    type Error = Error;

    fn try_from(form: Form) -> Result<Self> {
        Ok(match form {
            Form::Joint(joint) => Self::Joint(joint),
            Form::Sequential(sequential) => Self::Sequential(sequential),
            Form::Partial(partial) => Self::Partial(partial),
            Form::PerBatch(PerBatch { window: Window { first, last } }) => {
                let Some(more) = last.checked_sub(first) else {
                    let (expected, hint) = ("first ≤ last", "use type `joint` for no suppression");
                    let found = format!("{first}..={last}");
                    return Err(error::config("window of per_batch", expected, found, hint));
                };
                Self::Sequential(Sequential::new([more.saturating_add(1)]).starting_at(first))
            }
        })
    }
}
