//! What a part remembers between steps, in a form that a checkpoint can hold.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::error::{self, Result};

/// What a scheduler, a probe or a gradient modulation must get back for a run to go on as if it had
/// never stopped: JSON that only its owner reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State(Value);

impl State {
    /// The state of a part that remembers nothing; the default.
    pub fn none() -> Self {
        Self::default()
    }

    /// `memory` as JSON, every bit of a finite number kept.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for what JSON cannot hold (a map whose keys are not
    /// text).
    pub fn new(memory: &impl Serialize) -> Result<Self> {
        let value = serde_json::to_value(memory).map_err(|e| {
            error::config(
                "state of a part",
                "values that JSON can hold",
                e.to_string(),
                "give its maps text as keys",
            )
        })?;
        Ok(Self(value))
    }

    /// What [`of`](Self::of) was given; `what` names the part in the error.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if it is of another form.
    pub fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        T::deserialize(&self.0).map_err(|e| {
            error::config(
                format!("state of {what}"),
                "what the same part, with the same configuration, said when it was saved",
                e.to_string(),
                "resume with the configuration that the run was started with",
            )
        })
    }

    /// Nothing to restore?
    pub fn is_none(&self) -> bool {
        self.0.is_null()
    }

    /// Refuses a state where none is expected.
    pub(crate) fn expect_none(&self, what: &str) -> Result<()> {
        if self.is_none() { Ok(()) } else { self.read(what) }
    }
}
