//! The checked header of a file of teacher outputs.

use std::{
    fmt::Display,
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use serde::Deserialize;

use super::{
    Storage,
    json::{FORMAT, Json, LONGEST, Part, VERSION, altered},
};
use crate::error::{self, Error, Mismatch, Result};
use crate::file::{Digest, Hasher};
use crate::modality::Modality;

/// The header of a file of teacher outputs whose checksum matches every byte.
#[derive(Debug, Clone)]
pub struct Header {
    json: Json,
    start: u64,
}

impl Header {
    /// Reads and checks a whole file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it has another or a newer format, is
    /// truncated, or any byte has changed.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((file, length))
        };
        let (mut file, length) = open().map_err(|source| Error::io("open", path, source))?;
        Self::read(&mut file, length).map_err(|error| in_file(path, error))
    }

    /// Reads and checks `length` bytes, those of a whole file.
    ///
    /// # Errors
    /// [`Error::Cache`] where [`from_file`](Self::from_file) returns [`Error::Data`].
    pub fn read(reader: &mut impl Read, length: u64) -> Result<Self> {
        let (header, raw) = Self::parse(reader, length)?;
        header.verify(raw, reader)?;
        Ok(header)
    }

    /// The teacher's modality.
    pub fn modality(&self) -> &Modality {
        &self.json.metadata.modality
    }

    /// The digest of the teacher's weights.
    pub fn weights(&self) -> Digest {
        self.json.metadata.weights
    }

    /// The digest of the data.
    pub fn data(&self) -> Digest {
        self.json.metadata.data
    }

    /// The augmented view of the inputs, if any.
    pub fn view(&self) -> Option<&str> {
        self.json.metadata.view.as_deref()
    }

    /// The dtype of stored features.
    pub fn storage(&self) -> Storage {
        self.json.metadata.storage
    }

    /// Number of samples N.
    pub fn samples(&self) -> i64 {
        self.json.features.shape[0]
    }

    /// Shape of one sample's features.
    pub fn feature_shape(&self) -> &[i64] {
        &self.json.features.shape[1..]
    }

    /// Number of classes (or predictions) C.
    pub fn classes(&self) -> i64 {
        self.json.logits.shape[1]
    }

    /// Features, logits, targets and ids.
    pub(super) fn parts(&self) -> [&Part; 4] {
        self.json.parts()
    }

    /// The offset of the payload in the file.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Reads the header alone and checks it for a file of `length` bytes. Also returns its raw bytes.
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
        let text = std::str::from_utf8(&raw[8..]).map_err(foreign)?;
        let Marked { metadata: Marks { format, version } } =
            serde_json::from_str(text).map_err(foreign)?;
        if format != FORMAT {
            return Err(foreign(format!("{format:?}")));
        }
        match version.parse::<u64>() {
            Ok(VERSION) => {}
            Ok(newer) if newer > VERSION => {
                let (what, expected) =
                    ("format version of the teacher cache", format!("at most {VERSION}"));
                let hint = "a newer g2d wrote the file: use that version, or record it again";
                return Err(error::cache(what, expected, version, hint));
            }
            _ => return Err(altered(format!("format version {version:?}"))),
        }
        let json: Json = serde_json::from_str(text).map_err(altered)?;
        json.check(length - start)?;
        Ok((Self { json, start }, raw))
    }

    /// Checks the payload and the header's `raw` bytes against the checksum.
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
        let checksum = self.json.metadata.checksum;
        hasher.update(&zero_checksum(raw, checksum).ok_or_else(|| altered("no plain checksum"))?);
        let found = hasher.finish();
        if found == checksum { Ok(()) } else { Err(altered(format!("checksum {found}"))) }
    }
}

/// The part of a header that is the same in every version.
#[derive(Deserialize)]
struct Marked {
    #[serde(rename = "__metadata__")]
    metadata: Marks,
}

#[derive(Deserialize)]
struct Marks {
    format: String,
    version: String,
}

/// `raw` with zeros in place of the checksum; `None` if the checksum is not there.
fn zero_checksum(mut raw: Vec<u8>, checksum: Digest) -> Option<Vec<u8>> {
    let digits = checksum.to_string();
    let at = raw.windows(digits.len()).position(|window| window == digits.as_bytes())?;
    raw[at..at + digits.len()].fill(b'0');
    Some(raw)
}

fn read_exact(reader: &mut impl Read, into: &mut [u8]) -> Result<()> {
    let missing = into.len();
    reader.read_exact(into).map_err(|reason| {
        let expected = format!("{missing} more bytes");
        let (found, hint) = if reason.kind() == ErrorKind::UnexpectedEof {
            ("the end of the file".to_owned(), "the file is cut off: record it again")
        } else {
            (reason.to_string(), "the system cannot read the file: check the disk or the network")
        };
        error::cache("teacher cache", expected, found, hint)
    })
}

/// The error of a file of another format.
fn foreign(found: impl Display) -> Error {
    let hint = "check the path, or record it again";
    error::cache("file", format!("a whole {FORMAT} (safetensors)"), found, hint)
}

/// An [`Error::Cache`] as an [`Error::Data`] about the file at `path`.
pub(super) fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Cache(Mismatch { what, expected, found, hint }) => {
            Error::data(path, what, expected, found, hint)
        }
        other => other,
    }
}
