//! Values that have been read and checked.

use tch::{TchError, Tensor};

use super::{fit::Fit, source::Stored};
use crate::error::{Error, Result};

/// The values of a file that fits a `VarStore`, which [`apply`](Self::apply) changes.
#[derive(Debug)]
pub(crate) struct Loaded(Vec<Value>);

#[derive(Debug)]
struct Value {
    name: String,
    variable: Tensor,
    value: Tensor,
}

impl Loaded {
    /// Reads the values of the variables that fit; no variable changes.
    pub(super) fn read(fit: Fit<'_>) -> Result<Self> {
        let value = |(name, variable, stored): (String, Tensor, Stored<'_>)| {
            let value = stored.read().map_err(|e| failed(&name, e))?;
            Ok(Value { name, variable, value })
        };
        fit.fitting.into_iter().map(value).collect::<Result<_>>().map(Self)
    }

    /// Copies the values to the variables.
    pub(crate) fn apply(self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.0.into_iter().try_for_each(|Value { name, mut variable, value }| {
            variable.f_copy_(&value).map_err(|e| failed(&name, e))
        })
    }
}

fn failed(name: &str, source: TchError) -> Error {
    Error::torch(format!("load {name:?}"), source)
}
