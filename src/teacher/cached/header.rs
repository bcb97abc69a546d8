//! The header of a file of answers: what it says, and whether to believe it.

use std::{fs::File, io::Read, path::Path};

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::Storage;
use crate::{Digest, Error, Mismatch, Modality, Result, error, file::Hasher};

const FORMAT: &str = "g2d teacher cache";
const VERSION: u64 = 1;
/// The longest header that is read, in bytes; ours have about a thousand.
const LONGEST: u64 = 1 << 20;
/// Payloads start at a multiple of this, so that mapped features are aligned.
const ALIGNMENT: usize = 64;
const REMADE: &str = "record it anew";

/// What a file of answers says of itself, checked against every byte of it.
#[derive(Debug, Clone)]
pub struct CacheHeader {
    json: Json,
    start: u64,
}

impl CacheHeader {
    /// Reads and checks a whole file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Data`] if it is no file of answers, of a newer
    /// format, is cut, or any byte was altered.
    pub fn of_file(path: impl AsRef<Path>) -> Result<Self> {
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

/// The header's JSON, in the order of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Json {
    #[serde(rename = "__metadata__")]
    pub about: About,
    pub features: Part,
    pub logits: Part,
    pub targets: Part,
    pub ids: Part,
}

/// Safetensors' metadata: every value is a string.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    format: String,
    version: String,
    modality: Modality,
    weights: Digest,
    data: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    view: Option<String>,
    storage: Storage,
    samples: String,
    /// SHA-256 of the payload, then of the prefix and header with zeros in this place.
    checksum: Digest,
}

/// One tensor of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub dtype: Dtype,
    pub shape: Vec<i64>,
    pub data_offsets: [u64; 2],
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

impl About {
    /// Not sealed yet.
    pub(super) fn new(identity: &super::CacheIdentity, storage: Storage) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION.to_string(),
            modality: identity.modality.clone(),
            weights: identity.weights,
            data: identity.data,
            view: identity.view.clone(),
            storage,
            samples: String::new(),
            checksum: Digest::BLANK,
        }
    }
}

impl Part {
    /// Its number of bytes, if that is a number.
    pub(super) fn bytes(&self) -> Option<u64> {
        let size = self.dtype.size() as u64;
        let whole = |bytes: u64, &n: &i64| bytes.checked_mul(u64::try_from(n).ok()?);
        self.shape.iter().try_fold(size, whole)
    }
}

impl Json {
    fn parts(&self) -> [&Part; 4] {
        [&self.features, &self.logits, &self.targets, &self.ids]
    }

    /// Says of how many samples it is, and where each part then stands in the payload; `None` where
    /// that is more than a file can hold.
    pub(super) fn of_samples(mut self, samples: i64) -> Option<Self> {
        self.about.samples = samples.to_string();
        let mut at = 0_u64;
        for part in [&mut self.features, &mut self.logits, &mut self.targets, &mut self.ids] {
            part.shape[0] = samples;
            let end = at.checked_add(part.bytes()?)?;
            part.data_offsets = [at, end];
            at = end;
        }
        Some(self)
    }

    /// Bytes for prefix and header, enough for any number of samples.
    pub(super) fn room(&self) -> Result<usize> {
        let mut longest = self.clone();
        longest.about.samples = i64::MAX.to_string();
        for part in
            [&mut longest.features, &mut longest.logits, &mut longest.targets, &mut longest.ids]
        {
            part.shape[0] = i64::MAX;
            part.data_offsets = [u64::MAX; 2];
        }
        let room = (longest.text()?.len() + 8).next_multiple_of(ALIGNMENT);
        if room as u64 <= LONGEST {
            return Ok(room);
        }
        Err(error::config(
            "names of modality and view in the teacher cache",
            format!("a header of at most {LONGEST} bytes"),
            format!("{room}"),
            "use shorter ones",
        ))
    }

    /// Prefix and header in `room` bytes, sealed with the checksum of the `payload` and themselves.
    pub(super) fn seal(mut self, room: usize, mut payload: Hasher) -> Result<Vec<u8>> {
        payload.update(&self.render(room)?);
        self.about.checksum = payload.finish();
        self.render(room)
    }

    fn render(&self, room: usize) -> Result<Vec<u8>> {
        let mut bytes = ((room - 8) as u64).to_le_bytes().to_vec();
        bytes.extend(self.text()?.bytes());
        bytes.resize(room, b' ');
        Ok(bytes)
    }

    fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| altered(e.to_string()))
    }

    /// Refuses parts that do not fill `payload` bytes one after the other, or do not fit together.
    fn check(&self, payload: u64) -> Result<()> {
        let samples = self.features.shape.first().copied().unwrap_or(0);
        let mut at = 0_u64;
        for (name, part) in ["features", "logits", "targets", "ids"].iter().zip(self.parts()) {
            let [from, to] = part.data_offsets;
            let rows = part.shape.first() == Some(&samples) && part.shape.iter().all(|&n| n > 0);
            if !rows || from != at || to < from || part.bytes() != Some(to - from) {
                return Err(altered(format!(
                    "{name} {:?} {:?} at {from} to {to}",
                    part.dtype, part.shape
                )));
            }
            at = to;
        }
        let float = |dtype| matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64);
        let stored = match self.about.storage {
            Storage::Full => float(self.features.dtype),
            Storage::Half => self.features.dtype == Dtype::F16,
            Storage::BFloat16 => self.features.dtype == Dtype::BF16,
        };
        let right = self.about.samples == samples.to_string()
            && self.features.shape.len() >= 2
            && self.logits.shape.len() == 2
            && self.ids.shape.len() == 1
            && stored
            && matches!(self.logits.dtype, Dtype::F32 | Dtype::F64)
            && self.ids.dtype == Dtype::I64
            && tch::Kind::try_from(self.targets.dtype).is_ok();
        if !right {
            return Err(altered("parts that do not fit together".into()));
        }
        if at == payload {
            return Ok(());
        }
        Err(error::cache(
            "teacher cache",
            format!("{at} bytes after the header"),
            format!("{payload}"),
            "it is cut or was added to: record it anew",
        ))
    }
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
    let mend = "check the path, or record it anew";
    error::cache("file", format!("a whole {FORMAT} (safetensors)"), found, mend)
}

/// It is no longer as it was written.
pub(super) fn altered(found: String) -> Error {
    error::cache("teacher cache", "the file as it was written", found, REMADE)
}

/// The same refusal, with the file that it is about.
pub(super) fn about(path: &Path, refused: Error) -> Error {
    match refused {
        Error::Cache(Mismatch { what, expected, found, mend }) => {
            Error::data(path, what, expected, found, mend)
        }
        other => other,
    }
}
