//! The causes of TorchScript errors, for messages.

use tch::TchError;

/// The cause of a TorchScript error: the exception after the interpreter's trace, or the first line.
pub(crate) fn error_cause(error: &TchError) -> String {
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
