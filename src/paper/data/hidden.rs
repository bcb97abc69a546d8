//! Files that operating systems and programs leave beside data.

use std::path::Path;

/// Names of such files and folders, in any case.
const NAMES: [&str; 6] =
    ["__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"];

/// Returns whether the last part of `path` is the name of such a file: one that starts with a dot
/// (`._name` and `.DS_Store` of macOS, lock files of LibreOffice) or `~$` (lock files of Excel), or one
/// that Windows, macOS or a network drive adds.
pub(super) fn is_hidden(path: &Path) -> bool {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return false };
    name.starts_with('.')
        || name.starts_with("~$")
        || NAMES.iter().any(|hidden| name.eq_ignore_ascii_case(hidden))
}
