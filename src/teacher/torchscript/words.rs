//! What a module said, and why it failed, in words.

use tch::{IValue, TchError};

/// What happened: the line after the interpreter's trace, or the first one.
pub(super) fn reason(source: &TchError) -> String {
    let text = match source {
        TchError::Torch(text) => text.clone(),
        other => other.to_string(),
    };
    let last = text.lines().rev().find_map(|line| line.strip_prefix("RuntimeError: "));
    last.or_else(|| text.lines().next()).unwrap_or_default().to_owned()
}

/// What a module said, in the words of Python.
pub(super) fn described(said: &IValue) -> String {
    let several = |name: &str, parts: Vec<String>| {
        format!("a {name} of {}: {}", parts.len(), parts.join(", "))
    };
    match said {
        IValue::Tensor(t) => format!("a tensor {:?} {:?}", t.size(), t.kind()),
        IValue::Tuple(parts) => several("tuple", parts.iter().map(described).collect()),
        IValue::GenericList(parts) => several("list", parts.iter().map(described).collect()),
        IValue::TensorList(parts) => format!("a list of {} tensors", parts.len()),
        IValue::GenericDict(entries) => {
            let entry = |(key, value): &(IValue, IValue)| match key {
                IValue::String(key) => format!("{key:?} → {}", described(value)),
                other => format!("{} → {}", described(other), described(value)),
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
