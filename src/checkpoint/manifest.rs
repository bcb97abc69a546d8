//! What a snapshot says of itself, sealed with a checksum of its own.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    file::{Digest, Hasher},
    state::State,
    trainer::ResumeState,
};

/// The manifest's file.
pub(super) const MANIFEST: &str = "manifest.json";
/// The state of the random generators.
pub(super) const RANDOM: &str = "random.safetensors";
const FORMAT: &str = "g2d checkpoint";
const VERSION: u64 = 1;
/// No manifest is longer, in bytes: what is longer is not read.
const LONGEST: u64 = 64 << 20;
const HINT: &str = "go on from another snapshot: move this one out of the folder";

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    version: u64,
    /// The library's version, for people.
    library: String,
    /// When it was written: UTC, as RFC 3339.
    pub created: String,
    /// SHA-256 of this text with zeros in this place.
    checksum: Digest,
    #[serde(with = "crate::number")]
    pub score: Option<f64>,
    pub trainer: ResumeState,
    pub caller: State,
    /// Files of weights, in order; then of optimizers.
    pub weights: Vec<String>,
    pub optimizers: Vec<String>,
    /// Every file but this one.
    pub files: Vec<Entry>,
}

/// One file of a snapshot.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub name: String,
    pub bytes: u64,
    pub sha256: Digest,
}

/// What is read of a manifest before its version is known.
#[derive(Deserialize)]
struct Marks {
    format: String,
    version: u64,
}

impl Manifest {
    pub fn new(trainer: ResumeState, caller: State, score: Option<f64>) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            library: env!("CARGO_PKG_VERSION").into(),
            created: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            checksum: Digest::BLANK,
            score,
            trainer,
            caller,
            weights: Vec::new(),
            optimizers: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Its text, sealed.
    pub fn seal(mut self) -> std::result::Result<String, serde_json::Error> {
        let blank = serde_json::to_string_pretty(&self)?;
        self.checksum = digest(&blank);
        Ok(blank.replacen(&Digest::BLANK.to_string(), &self.checksum.to_string(), 1))
    }

    /// Reads and checks the manifest of the snapshot at `folder`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is cut, altered, foreign or newer.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let io = |source| Error::io("read", &path, source);
        let bytes = fs::metadata(&path).map_err(io)?.len();
        if bytes > LONGEST {
            let expected = format!("at most {LONGEST} bytes");
            return Err(Error::data(&path, "length", expected, format!("{bytes}"), HINT));
        }
        let text = fs::read(&path).map_err(io)?;
        Self::parse(&text).map_err(|refused| refused.at(&path))
    }

    /// The manifest that `text` is.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, Refused> {
        let altered = |found: String| Refused {
            what: "snapshot's manifest",
            expected: "the text as it was written".into(),
            found,
            hint: HINT,
        };
        let text = std::str::from_utf8(text).map_err(|e| altered(e.to_string()))?;
        let marks: Marks = serde_json::from_str(text).map_err(|e| altered(e.to_string()))?;
        if marks.format != FORMAT {
            return Err(Refused {
                what: "format",
                expected: format!("{FORMAT:?}"),
                found: format!("{:?}", marks.format),
                hint: "name a folder that `SnapshotFolder` wrote",
            });
        }
        if marks.version > VERSION {
            return Err(Refused {
                what: "format version of the snapshot",
                expected: format!("at most {VERSION}"),
                found: marks.version.to_string(),
                hint: "it was written by a newer g2d: go on with that one",
            });
        }
        let manifest: Self = serde_json::from_str(text).map_err(|e| altered(e.to_string()))?;
        let said = manifest.checksum.to_string();
        let found = digest(&text.replacen(&said, &Digest::BLANK.to_string(), 1));
        if found == manifest.checksum {
            Ok(manifest)
        } else {
            Err(altered(format!("checksum {found}")))
        }
    }

    /// Checks every file of the snapshot at `folder` against its size and digest.
    ///
    /// # Errors
    /// [`Error::Io`] for one that cannot be read, [`Error::Data`] for one that is cut or altered.
    pub fn check_files(&self, folder: &Path) -> Result<()> {
        for Entry { name, bytes, sha256 } in &self.files {
            let path = folder.join(name);
            let found = fs::metadata(&path).map_err(|e| Error::io("read", &path, e))?.len();
            if found != *bytes {
                let (expected, found) = (format!("{bytes} bytes"), format!("{found}"));
                return Err(Error::data(&path, "length of the file", expected, found, HINT));
            }
            let found = Digest::from_file(&path)?;
            if found != *sha256 {
                let (expected, found) = (format!("SHA-256 {sha256}"), format!("{found}"));
                return Err(Error::data(&path, "content of the file", expected, found, HINT));
            }
        }
        Ok(())
    }
}

fn digest(text: &str) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(text.as_bytes());
    hasher.finish()
}

/// Why a text is no manifest.
#[derive(Debug)]
pub(super) struct Refused {
    what: &'static str,
    expected: String,
    found: String,
    hint: &'static str,
}

impl Refused {
    fn at(self, path: &Path) -> Error {
        Error::data(path, self.what, self.expected, self.found, self.hint)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// A manifest as a run writes it.
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
        let mut manifest = Manifest::new(trainer, caller, Some(0.5));
        manifest.weights.push("student.weights.safetensors".into());
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
    fn what_is_sealed_is_read() {
        let manifest = Manifest::parse(valid().as_bytes()).unwrap();
        assert_eq!((manifest.score, manifest.trainer.progress().step), (Some(0.5), 5));
    }

    #[test]
    fn another_format_and_a_newer_one_are_told() {
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
        fn changed_texts_are_refused(
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
        fn absurd_values_are_refused(value in "-?[0-9]{1,30}|\"[^\"\\\\]{0,9}\"|\\[\\]|\\{\\}|null|1e999", at in any::<Index>()) {
            let whole = valid();
            let values: Vec<_> = whole.match_indices(": ").map(|(i, _)| i + 2).collect();
            let at = values[at.index(values.len())];
            let end = at + whole[at..].find(['\n', ',', '}']).unwrap();
            let text = format!("{}{value}{}", &whole[..at], &whole[end..]);
            prop_assert!(text == whole || Manifest::parse(text.as_bytes()).is_err());
        }
    }
}
