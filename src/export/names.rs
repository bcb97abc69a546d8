//! Names in a TorchScript file, which are names in Python.

use crate::error::{self, Result};

/// The words that are no names in Python.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Refuses a variable whose name contains a keyword of Python: a file with it could not be loaded.
pub(super) fn check_variable(name: &str) -> Result<()> {
    let Some(keyword) = name.split('.').find(|component| KEYWORDS.contains(component)) else {
        return Ok(());
    };
    Err(error::config(
        format!("variable {name:?} to export"),
        "a path without keywords of Python",
        format!("{keyword:?}"),
        "give the layer another path in its `VarStore`",
    ))
}

/// `name` as an identifier of Python.
pub(super) fn identifier(name: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(legal).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else if KEYWORDS.contains(&name.as_str()) {
        format!("{name}_")
    } else {
        name
    }
}
