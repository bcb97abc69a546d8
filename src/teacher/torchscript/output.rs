//! Features and logits from the return value of a TorchScript module.

use tch::{IValue, Kind, Tensor};

use super::describe::describe;
use crate::error::{self, Error, Result};

/// The hint where no form of output fits.
const OTHER_FORMS: &str =
    "return a pair (features, logits) from the module; `ScriptOutput` lists the other forms";

/// The form in which a TorchScript module returns features and logits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ScriptOutput {
    /// A pair `(features, logits)` in this order, or a dict with the keys `features` and `logits`.
    #[default]
    Automatic,
    /// A pair `(features, logits)`, in this order.
    Pair,
    /// A dict with these keys; other keys are ignored.
    Dict {
        /// The key of the features.
        features: String,
        /// The key of the logits.
        logits: String,
    },
    /// `forward` returns the logits alone, and the method of this name the features of the same input.
    ///
    /// The encoder then runs twice for each batch, unless a
    /// [`OutputFile`](crate::teacher::cache::OutputFile) caches its outputs.
    Method(String),
}

impl ScriptOutput {
    /// Features and logits from the methods that `run` calls by name; `what` names the output in
    /// errors.
    pub(super) fn read(
        &self,
        what: &str,
        run: impl Fn(&str) -> Result<IValue>,
    ) -> Result<(Tensor, Tensor)> {
        let (features, logits) = match self {
            Self::Method(name) => (run(name)?, run("forward")?),
            Self::Dict { features, logits } => dict(what, run("forward")?, features, logits)?,
            Self::Pair => pair(what, run("forward")?)?,
            Self::Automatic => match run("forward")? {
                value @ IValue::GenericDict(_) => dict(what, value, "features", "logits")?,
                value => pair(what, value)?,
            },
        };
        Ok((tensor(what, "features", features)?, tensor(what, "logits", logits)?))
    }
}

fn pair(what: &str, value: IValue) -> Result<(IValue, IValue)> {
    let found = describe(&value);
    let hint = match &value {
        IValue::Tensor(_) => {
            "return the features too, or name a method that returns them with \
                              `ScriptOutput::Method`"
        }
        IValue::GenericDict(_) => "name the keys of the dict with `ScriptOutput::Dict`",
        _ => OTHER_FORMS,
    };
    let mut parts = match value {
        IValue::Tuple(parts) | IValue::GenericList(parts) => parts,
        IValue::TensorList(parts) => parts.into_iter().map(IValue::Tensor).collect(),
        _ => Vec::new(),
    };
    match (parts.len(), parts.pop(), parts.pop()) {
        (2, Some(logits), Some(features)) => Ok((features, logits)),
        _ => Err(error::config(what, "a pair (features, logits)", found, hint)),
    }
}

fn dict(what: &str, value: IValue, features: &str, logits: &str) -> Result<(IValue, IValue)> {
    let found = describe(&value);
    let hint = match &value {
        IValue::GenericDict(_) => "name the keys of the dict with `ScriptOutput::Dict`",
        IValue::Tuple(parts) | IValue::GenericList(parts) if parts.len() == 2 => {
            "choose `ScriptOutput::Pair`"
        }
        IValue::TensorList(parts) if parts.len() == 2 => "choose `ScriptOutput::Pair`",
        _ => OTHER_FORMS,
    };
    let entries = if let IValue::GenericDict(entries) = value { entries } else { Vec::new() };
    let (mut found_features, mut found_logits) = (None, None);
    for (key, value) in entries {
        match key {
            IValue::String(key) if key == features => found_features = Some(value),
            IValue::String(key) if key == logits => found_logits = Some(value),
            _ => {}
        }
    }
    found_features.zip(found_logits).ok_or_else(|| {
        let expected = format!("a dict with the keys {features:?} and {logits:?}");
        error::config(what, expected, found, hint)
    })
}

/// The tensor in `value`, detached; 16 bits become `Float`.
fn tensor(what: &str, name: &str, value: IValue) -> Result<Tensor> {
    let found = describe(&value);
    let IValue::Tensor(tensor) = value else {
        return Err(error::config(what, format!("a tensor of {name}"), found, OTHER_FORMS));
    };
    let Some(kind) = tensor.defined().then(|| tensor.f_kind().ok()).flatten() else {
        let hint = "convert it to a floating-point dtype in the module";
        return Err(error::kind(what, format!("a tensor of {name}"), found, hint));
    };
    let wide = match kind {
        Kind::Half | Kind::BFloat16 => tensor.f_to_kind(Kind::Float),
        _ => Ok(tensor),
    };
    let detached = wide.and_then(|tensor| tensor.f_detach());
    detached.map_err(|source| Error::torch(format!("convert the {what}"), source))
}
