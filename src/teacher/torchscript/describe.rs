//! Descriptions of TorchScript values, for messages.

use tch::IValue;

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
