//! The image files that a table names.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use unicode_normalization::UnicodeNormalization;

use super::file::{extension, list};

/// Finds files by the names in a table.
#[derive(Debug)]
pub(super) struct ImageFiles {
    folder: PathBuf,
    /// The files of each folder that was searched, by their simplified names.
    searched: HashMap<PathBuf, BTreeMap<String, Vec<PathBuf>>>,
}

impl ImageFiles {
    /// The files below `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, searched: HashMap::new() }
    }

    /// Returns the file of this name. If there is none, returns the only one whose name differs in the
    /// case of its extension, in the Unicode normal form or in the slashes of Windows.
    ///
    /// # Errors
    /// What was found instead, and a hint.
    pub fn find(&mut self, name: &str) -> Result<PathBuf, (String, String)> {
        let path = self.folder.join(name);
        if path.exists() {
            return Ok(path);
        }
        let path = self.folder.join(name.replace('\\', "/"));
        let folder = path.parent().unwrap_or(&self.folder).to_path_buf();
        if !folder.is_dir() {
            let found = format!("{name:?}, and no folder {}", folder.display());
            return Err((found, "check the folder of the images".to_owned()));
        }
        let files =
            self.searched.entry(folder).or_insert_with_key(|folder| simplified_names(folder));
        match files.get(&simplified(&path)).map(Vec::as_slice) {
            Some([file]) => return Ok(file.clone()),
            Some([first, second, ..]) => {
                let found = format!("{name:?}, like {} and {}", first.display(), second.display());
                return Err((found, "write the name as that of one file".to_owned()));
            }
            _ => {}
        }
        let stem =
            |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let number = |path: &Path| stem(path).trim_start_matches('0').to_owned();
        let mut all = files.values().flatten();
        let alike = all.find(|file| number(file) == number(&path));
        let hint = match alike.and_then(|file| file.file_name()) {
            Some(file) => format!("the folder has {file:?}: write the name in this way"),
            None => "add the image, or remove the row".to_owned(),
        };
        Err((format!("{name:?}, which is not in {}", self.folder.display()), hint))
    }
}

/// The files of a folder by their simplified names; none if it cannot be listed.
fn simplified_names(folder: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for path in list(folder).unwrap_or_default() {
        names.entry(simplified(&path)).or_default().push(path);
    }
    names
}

/// A file's name in the composed normal form, with its extension in lower case.
fn simplified(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().nfc().collect::<String>();
    format!("{stem}.{}", extension(path))
}
