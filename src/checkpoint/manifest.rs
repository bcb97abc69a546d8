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
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is damaged, of a newer format, or not a
    /// manifest.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let io = |source| Error::io("read", &path, source);
        let bytes = fs::metadata(&path).map_err(io)?.len();
        if bytes > MAX_BYTES {
            let expected = format_args!("at most {MAX_BYTES} bytes");
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
            let expected = format_args!("{} bytes", self.bytes);
            return Err(Error::data(&path, "length of the file", expected, bytes, HINT));
        }
        let sha256 = Digest::from_file(&path)?;
        if sha256 != self.sha256 {
            let expected = format_args!("SHA-256 {}", self.sha256);
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

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// The text of a manifest.
    fn valid() -> String {
        let trainer = serde_json::json!({
            "modalities": ["a", "b"],
            "progress": {"epoch": 3, "step": 5, "total_steps": 65},
            "totals": {
                "total": {"sum": 1.5, "weight": 8.0}, "task": {"sum": "NaN", "weight": 8.0},
                "feature": [{"sum": null, "weight": 0.0}, {"sum": 0.25, "weight": 8.0}],
                "logit": [{"sum": null, "weight": 0.0}, {"sum": 0.25, "weight": 8.0}],
                "confidence": [{"sum": null, "weight": 0.0}, {"sum": 0.25, "weight": 8.0}],
                "kappa": [1.0, 0.0], "steps": 5
            },
            "loss_scale": {"scale": 65536.0, "good_steps": 4}, "skipped_in_a_row": 0,
            "scheduler": null, "modulation": null, "probes": [{"x": [1, 2]}]
        });
        let trainer = serde_json::from_value(trainer).unwrap();
        let caller = State::new(&serde_json::json!({"order": [1, 2, 3]})).unwrap();
        let weights = vec!["student.weights.safetensors".into()];
        let mut manifest = Manifest::new(trainer, caller, Some(0.5), weights, Vec::new());
        let sha256 = Digest::from_parts(["x"]);
        manifest.files.push(Entry { name: manifest.weights[0].clone(), bytes: 17, sha256 });
        manifest.seal().unwrap()
    }

    fn config() -> ProptestConfig {
        let cases = std::env::var("G2D_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
        let config = ProptestConfig::with_cases(cases.unwrap_or(2_000));
        ProptestConfig { failure_persistence: None, ..config }
    }

    #[test]
    fn a_sealed_manifest_is_read() {
        let manifest = Manifest::parse(valid().as_bytes()).unwrap();
        assert_eq!((manifest.score, manifest.trainer.progress().step), (Some(0.5), 5));
    }

    #[test]
    fn other_and_newer_formats_are_refused() {
        let refused = |from: &str, to: &str| {
            let text = valid();
            assert!(text.contains(from));
            Manifest::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err()
        };
        assert_eq!(refused("\"version\": 1", "\"version\": 2").found, "2");
        assert_eq!(refused("g2d checkpoint", "a checkpoint").what, "format");
        assert!(refused("\"score\": 0.5", "\"score\": 0.6").found.contains("checksum"));
        assert!(refused("  \"score\"", " \"score\"").found.contains("checksum"));
        assert!(refused("\"score\"", "\"scores\"").found.contains("scores"));
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn random_bytes_are_refused(bytes in vec(any::<u8>(), 0..400)) {
            prop_assert!(Manifest::parse(&bytes).is_err());
        }

        #[test]
        fn changed_manifests_are_refused(
            changes in vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..4), cut in any::<Index>(),
        ) {
            let whole = valid().into_bytes();
            let mut bytes = whole.clone();
            for (at, byte, how) in changes {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(cut.index(bytes.len()).max(1)),
                }
            }
            prop_assert_eq!(Manifest::parse(&bytes).is_ok(), bytes == whole);
        }

        #[test]
        fn invalid_values_are_refused(value in "-?[0-9]{1,30}|\"[^\"\\\\]{0,9}\"|\\[\\]|\\{\\}|null|1e999", at in any::<Index>()) {
            let whole = valid();
            let values: Vec<_> = whole.match_indices(": ").map(|(i, _)| i + 2).collect();
            let at = values[at.index(values.len())];
            let end = at + whole[at..].find(['\n', ',', '}']).unwrap();
            let text = format!("{}{value}{}", &whole[..at], &whole[end..]);
            prop_assert!(text == whole || Manifest::parse(text.as_bytes()).is_err());
        }
    }
}
