//! What a file contains in place of a table.

/// The start of the file that Git checks out in place of one in Large File Storage.
pub(super) const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Names the content of a file that is not what its name promises, with a hint; `None` for others.
pub(super) fn other_than_text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let start = bytes.trim_ascii_start();
    let starts = |text: &str| {
        start.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text.as_bytes()))
    };
    if bytes.starts_with(LFS_POINTER) {
        return Some(("a Git LFS pointer", "fetch the file with `git lfs pull`"));
    }
    if starts("<!doctype html") || starts("<html") {
        return Some(("an HTML page", "download the file itself"));
    }
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Some(("an XLS or an encrypted XLSX file", "save it as XLSX without a password"));
    }
    None
}
