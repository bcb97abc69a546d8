//! The state of a scheduler, a probe or a modulation, for a checkpoint.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::error::{self, Result};

/// The state of a part of the trainer between steps: what a scheduler, a probe or a modulation
/// needs so that a resumed run continues as if it had never stopped.
///
/// It is JSON whose structure only the part itself reads. Finite numbers keep every bit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State(Value);

impl State {
    /// The state of a part without state; the default.
    pub fn none() -> Self {
        Self::default()
    }

    /// Converts `state` to JSON.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a value that JSON cannot represent, such as a
    /// map whose keys are not strings.
    pub fn new(state: &impl Serialize) -> Result<Self> {
        serde_json::to_value(state).map(Self).map_err(|e| {
            let hint = "use strings as the keys of its maps";
            error::config("state of a part", "values that JSON can represent", e, hint)
        })
    }

    /// Converts the state back; `part` names the part in the error.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the JSON does not have the structure of `T`.
    pub fn read<T: DeserializeOwned>(&self, part: &str) -> Result<T> {
        let expected = "the state of the same part with the same configuration";
        T::deserialize(&self.0)
            .map_err(|e| error::foreign_state(format_args!("state of {part}"), expected, e))
    }

    /// Returns whether this is the state of a part without state.
    pub fn is_none(&self) -> bool {
        self.0.is_null()
    }

    /// Checks that `part`, which has no state, is restored from none.
    pub(crate) fn expect_none(&self, part: &str) -> Result<()> {
        self.read(part)
    }
}
