//! Descriptions of TorchScript values and errors, for messages.

use tch::{IValue, TchError};

/// The cause of a TorchScript error: the exception after the interpreter's trace, or the first line.
pub(super) fn error_cause(error: &TchError) -> String {
    let text = match error {
        TchError::Torch(text) => text.clone(),
        other => other.to_string(),
    };
    let exception = text.lines().rev().find_map(|line| {
        let (name, message) = line.split_once(": ")?;
        let is_name = name.chars().all(|c| c.is_alphanumeric() || "._".contains(c));
        let is_exception = is_name && (name.ends_with("Error") || name.ends_with("Exception"));
        is_exception.then_some(if name == "RuntimeError" { message } else { line })
    });
    exception.or_else(|| text.lines().next()).unwrap_or_default().to_owned()
}

/// A value in Python's terms.
pub(super) fn describe(value: &IValue) -> String {
    let several = |name: &str, parts: Vec<String>| {
        format!("a {name} of {}: {}", parts.len(), parts.join(", "))
    };
    match value {
        IValue::Tensor(t) if !t.defined() => "an undefined tensor".into(),
        IValue::Tensor(t) => match t.f_kind() {
            Ok(kind) => format!("a tensor {:?} {kind:?}", t.size()),
            Err(_) => format!("a tensor {:?} of a dtype that tch does not have", t.size()),
        },
        IValue::Tuple(parts) => several("tuple", parts.iter().map(describe).collect()),
        IValue::GenericList(parts) => several("list", parts.iter().map(describe).collect()),
        IValue::TensorList(parts) => format!("a list of {} tensors", parts.len()),
        IValue::GenericDict(entries) => {
            let entry = |(key, value): &(IValue, IValue)| match key {
                IValue::String(key) => format!("{key:?} → {}", describe(value)),
                other => format!("{} → {}", describe(other), describe(value)),
            };
            several("dict", entries.iter().map(entry).collect())
        }
        IValue::None => "None".into(),
        IValue::String(text) => format!("the string {text:?}"),
        IValue::Int(number) => format!("the int {number}"),
        IValue::Double(number) => format!("the float {number}"),
        IValue::Bool(value) => format!("the bool {value}"),
        other => format!("{other:?}"),
    }
}
