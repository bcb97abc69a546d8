//! The scripts of a virtual environment, which contain its path.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use anyhow::{Context as _, Result};

/// Replaces `from` and the digits after it by `to` in every text file of the environment at `root` that
/// contains its path: the scripts of its packages, the scripts that activate it and its settings.
///
/// Files are replaced atomically and keep their permissions. Launchers of Windows, which are no text,
/// are left as they are.
pub fn replace_path(root: &Path, from: &str, to: &str) -> Result<()> {
    replace_in_file(&root.join("pyvenv.cfg"), from, to)?;
    let folder = root.join(if cfg!(windows) { "Scripts" } else { "bin" });
    if !folder.is_dir() {
        return Ok(());
    }
    let list = || format!("cannot list {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(list)? {
        let entry = entry.with_context(list)?;
        // Not of symbolic links, which lead to the interpreter.
        if entry.file_type().with_context(list)?.is_file() {
            replace_in_file(&entry.path(), from, to)?;
        }
    }
    Ok(())
}

fn replace_in_file(path: &Path, from: &str, to: &str) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
    let replaced = replaced(&text, from, to);
    if replaced == text {
        return Ok(());
    }
    write(path, &replaced)
}

/// Writes the file at `path` atomically, with the permissions of the file that is there, if any.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.new"));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        if let Ok(metadata) = fs::metadata(path) {
            fs::set_permissions(&temporary, metadata.permissions())?;
        }
        drop(file);
        fs::rename(&temporary, path)
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// `text` with `to` in place of `from` and the digits after it.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        // Without digits it is another name.
        replaced += if rest.len() < part.len() { to } else { from };
        replaced += rest;
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_digits_are_replaced() {
        let replace = |text: &str| replaced(text, "torch.partial-", "torch");
        assert_eq!(replace("#!/a b/torch.partial-25/bin/python\n"), "#!/a b/torch/bin/python\n");
        assert_eq!(replace("(torch.partial-1) torch.partial-2\""), "(torch) torch\"");
        for other in ["", "torch.partial", "torch.partial-x", "/torch/bin"] {
            assert_eq!(replace(other), other);
        }
    }
}
