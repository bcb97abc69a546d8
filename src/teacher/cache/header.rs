//! The header of a file of answers: what it says, and whether to believe it.

use std::{fs::File, io::Read, path::Path};

use serde::Deserialize;

use super::{
    Storage,
    json::{FORMAT, Json, LONGEST, Part, VERSION},
};
use crate::{
    error::{self, Error, Mismatch, Result},
    file::{Digest, Hasher},
    modality::Modality,
};

const REMADE: &str = "record it anew";

/// What a file of answers says of itself, checked against every byte of it.
#[derive(Debug, Clone)]
pub struct Header {
    json: Json,
    start: u64,
}

impl Header {
    /// Reads and checks a whole file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Data`] if it is no file of answers, of a newer
    /// format, is cut, or any byte was altered.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (mut file, length) = open().map_err(|source| Error::io("open", path, source))?;
        Self::read(&mut file, length).map_err(|refused| about(path, refused))
    }

    /// Reads and checks `length` bytes, a whole file's.
    ///
    /// # Errors
    /// [`Error::Cache`] as [`of_file`](Self::of_file) would refuse.
    pub fn read(reader: &mut impl Read, length: u64) -> Result<Self> {
        let (header, raw) = Self::parse(reader, length)?;
        header.verify(raw, reader)?;
        Ok(header)
    }

    /// The teacher's modality.
    pub fn modality(&self) -> &Modality {
        &self.json.about.modality
    }

    /// The digest of the teacher's weights.
    pub fn weights(&self) -> Digest {
        self.json.about.weights
    }

    /// The digest of the data.
    pub fn data(&self) -> Digest {
        self.json.about.data
    }

    /// The augmented view, if it is of one.
    pub fn view(&self) -> Option<&str> {
        self.json.about.view.as_deref()
    }

    /// In which kind features are kept.
    pub fn storage(&self) -> Storage {
        self.json.about.storage
    }

    /// The number of samples N.
    pub fn samples(&self) -> i64 {
        self.json.features.shape[0]
    }

    /// The shape of a sample's features, without the batch.
    pub fn feature_shape(&self) -> &[i64] {
        &self.json.features.shape[1..]
    }

    /// The number of classes (or predictions) C.
    pub fn classes(&self) -> i64 {
        self.json.logits.shape[1]
    }

    /// Features, logits, targets and ids.
    pub(super) fn parts(&self) -> [&Part; 4] {
        self.json.parts()
    }

    /// Where the payload starts in the file.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Reads the header alone and checks that it makes sense for a file of `length` bytes; returns
    /// also its raw bytes.
    pub(super) fn parse(reader: &mut impl Read, length: u64) -> Result<(Self, Vec<u8>)> {
        let mut raw = vec![0; 8];
        read_exact(reader, &mut raw)?;
        let prefix = raw.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
        if prefix > LONGEST || prefix + 8 > length {
            return Err(foreign(format!("a header of {prefix} bytes in a file of {length}")));
        }
        let start = prefix + 8;
        raw.resize(start as usize, 0);
        read_exact(reader, &mut raw[8..])?;
        let text = std::str::from_utf8(&raw[8..]).map_err(|e| foreign(e.to_string()))?;
        let Marked { about: Marks { format, version } } =
            serde_json::from_str(text).map_err(|e| foreign(e.to_string()))?;
        if format != FORMAT {
            return Err(foreign(format!("{format:?}")));
        }
        match version.parse::<u64>() {
            Ok(VERSION) => {}
            Ok(newer) if newer > VERSION => {
                return Err(error::cache(
                    "format version of the teacher cache",
                    format!("at most {VERSION}"),
                    version,
                    "it was written by a newer g2d: use that one, or record it anew",
                ));
            }
            _ => return Err(altered(format!("format version {version:?}"))),
        }
        let json: Json = serde_json::from_str(text).map_err(|e| altered(e.to_string()))?;
        json.check(length - start)?;
        Ok((Self { json, start }, raw))
    }

    /// Reads the payload and checks it and the header's `raw` bytes against the checksum.
    pub(super) fn verify(&self, raw: Vec<u8>, payload: &mut impl Read) -> Result<()> {
        let mut hasher = Hasher::default();
        let mut left = self.json.ids.data_offsets[1];
        let mut buffer = vec![0; left.min(1 << 20) as usize];
        while left > 0 {
            let chunk = &mut buffer[..left.min(1 << 20) as usize];
            read_exact(payload, chunk)?;
            hasher.update(chunk);
            left -= chunk.len() as u64;
        }
        let checksum = self.json.about.checksum;
        hasher.update(&without(raw, checksum).ok_or_else(|| altered("no plain checksum".into()))?);
        let found = hasher.finish();
        if found == checksum { Ok(()) } else { Err(altered(format!("checksum {found}"))) }
    }
}

/// What is read of a header before its version is known.
#[derive(Deserialize)]
struct Marked {
    #[serde(rename = "__metadata__")]
    about: Marks,
}

#[derive(Deserialize)]
struct Marks {
    format: String,
    version: String,
}

/// `raw` with zeros where the checksum is written, if it is.
fn without(mut raw: Vec<u8>, checksum: Digest) -> Option<Vec<u8>> {
    let digits = checksum.to_string();
    let at = raw.windows(digits.len()).position(|window| window == digits.as_bytes())?;
    raw[at..at + digits.len()].fill(b'0');
    Some(raw)
}

fn read_exact(reader: &mut impl Read, into: &mut [u8]) -> Result<()> {
    let wanted = into.len();
    reader.read_exact(into).map_err(|reason| {
        let found = format!("an end before ({reason})");
        error::cache("teacher cache", format!("{wanted} bytes more"), found, REMADE)
    })
}

/// It never was a file of answers.
fn foreign(found: String) -> Error {
    let hint = "check the path, or record it anew";
    error::cache("file", format!("a whole {FORMAT} (safetensors)"), found, hint)
}

/// It is no longer as it was written.
pub(super) fn altered(found: String) -> Error {
    error::cache("teacher cache", "the file as it was written", found, REMADE)
}

/// The same refusal, with the file that it is about.
pub(super) fn about(path: &Path, refused: Error) -> Error {
    match refused {
        Error::Cache(Mismatch { what, expected, found, hint }) => {
            Error::data(path, what, expected, found, hint)
        }
        other => other,
    }
}
