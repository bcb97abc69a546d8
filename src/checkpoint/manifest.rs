//! The manifest of a snapshot, with a checksum of its own.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::generators;
use crate::error::{Error, Mismatch, Result};
use crate::file::{Digest, Hasher, atomic};
use crate::state::State;
use crate::trainer::ResumeState;

/// The name of the file.
const FILE: &str = "manifest.json";
const FORMAT: &str = "g2d checkpoint";
const VERSION: u64 = 1;
/// The maximal size of a manifest in bytes; a larger file is not read.
const MAX_BYTES: u64 = 64 << 20;
const HINT: &str = "resume from another snapshot: move this one out of the folder";

/// The content of `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    version: u64,
    /// The version of the crate, for information.
    library: String,
    /// The time of writing: UTC, as RFC 3339.
    pub created: String,
    /// SHA-256 of the text with zeros in place of the checksum.
    checksum: Digest,
    #[serde(with = "crate::number")]
    pub score: Option<f64>,
    pub trainer: ResumeState,
    /// The state of the caller's loop.
    pub caller: State,
    /// The files of weights, in the order of the parts.
    pub weights: Vec<String>,
    /// The files of optimizers, in the order of the parts.
    pub optimizers: Vec<String>,
    /// All files except the manifest.
    files: Vec<Entry>,
}

/// A file of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    bytes: u64,
    sha256: Digest,
}

/// The part of a manifest that all versions have.
#[derive(Deserialize)]
struct Version {
    format: String,
    version: u64,
}

impl Manifest {
    pub(super) fn new(
        trainer: ResumeState,
        caller: State,
        score: Option<f64>,
        weights: Vec<String>,
        optimizers: Vec<String>,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            library: env!("CARGO_PKG_VERSION").into(),
            created: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            checksum: Digest::BLANK,
            score,
            trainer,
            caller,
            weights,
            optimizers,
            files: Vec::new(),
        }
    }

    /// Lists the other files of the snapshot, which must be in `folder`, and writes the manifest.
    pub(super) fn write(&mut self, folder: &Path) -> Result<()> {
        let files = self.weights.iter().chain(&self.optimizers).map(String::as_str);
        let files = files.chain([generators::FILE]).map(|name| Entry::new(folder, name));
        self.files = files.collect::<Result<_>>()?;
        let path = folder.join(FILE);
        let text = self.seal().map_err(|e| Error::io("write", &path, e.into()))?;
        atomic::write_bytes(&path, text.as_bytes())
    }

    /// Computes the checksum and returns the text of the manifest.
    fn seal(&mut self) -> serde_json::Result<String> {
        let blank = serde_json::to_string_pretty(self)?;
        self.checksum = digest(&blank);
        Ok(blank.replacen(&Digest::BLANK.to_string(), &self.checksum.to_string(), 1))
    }

    /// Reads and checks the manifest of the snapshot in `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is damaged, of a newer format, or
    /// not a manifest.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let io = |source| Error::io("read", &path, source);
        let bytes = fs::metadata(&path).map_err(io)?.len();
        if bytes > MAX_BYTES {
            let expected = format!("at most {MAX_BYTES} bytes");
            return Err(Error::data(&path, "length", expected, bytes, HINT));
        }
        let text = fs::read(&path).map_err(io)?;
        Self::parse(&text).map_err(|mismatch| mismatch.in_file(&path))
    }

    /// Parses and checks a manifest.
    fn parse(text: &[u8]) -> std::result::Result<Self, Mismatch> {
        let damaged = |found: String| {
            Mismatch::new("manifest of the snapshot", "the text as it was written", found, HINT)
        };
        let text = std::str::from_utf8(text).map_err(|e| damaged(e.to_string()))?;
        let Version { format, version } =
            serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        if format != FORMAT {
            let hint = "pass a folder that `SnapshotFolder` has written";
            return Err(Mismatch::new(
                "format",
                format!("{FORMAT:?}"),
                format!("{format:?}"),
                hint,
            ));
        }
        if version > VERSION {
            return Err(Mismatch::newer_format("snapshot", VERSION, version));
        }
        let manifest: Self = serde_json::from_str(text).map_err(|e| damaged(e.to_string()))?;
        let checksum = manifest.checksum.to_string();
        let found = digest(&text.replacen(&checksum, &Digest::BLANK.to_string(), 1));
        if found == manifest.checksum {
            Ok(manifest)
        } else {
            Err(damaged(format!("checksum {found}")))
        }
    }

    /// Checks the size and the digest of every file of the snapshot in `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Data`] for a damaged one.
    pub(super) fn check_files(&self, folder: &Path) -> Result<()> {
        self.files.iter().try_for_each(|file| file.check(folder))
    }
}

impl Entry {
    /// The size and the digest of a file in `folder`.
    fn new(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let bytes = size(&path)?;
        Ok(Self { name: name.to_owned(), bytes, sha256: Digest::from_file(&path)? })
    }

    fn check(&self, folder: &Path) -> Result<()> {
        let path = folder.join(&self.name);
        let bytes = size(&path)?;
        if bytes != self.bytes {
            let expected = format!("{} bytes", self.bytes);
            return Err(Error::data(&path, "length of the file", expected, bytes, HINT));
        }
        let sha256 = Digest::from_file(&path)?;
        if sha256 != self.sha256 {
            let expected = format!("SHA-256 {}", self.sha256);
            return Err(Error::data(&path, "content of the file", expected, sha256, HINT));
        }
        Ok(())
    }
}

fn size(path: &Path) -> Result<u64> {
    fs::metadata(path).map(|file| file.len()).map_err(|e| Error::io("read", path, e))
}

fn digest(text: &str) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(text.as_bytes());
    hasher.finish()
}
