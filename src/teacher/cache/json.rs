//! The JSON text of a header.

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::Storage;
use crate::error::{self, Error, Result};
use crate::file::{Digest, Hasher, dtype::kind_of};
use crate::modality::Modality;

pub(super) const FORMAT: &str = "g2d teacher cache";
pub(super) const VERSION: u64 = 1;
/// The longest header that is read, in bytes; written headers have about a thousand.
pub(super) const LONGEST: u64 = 1 << 20;
/// Payloads start at a multiple of this, so that mapped features are aligned.
const ALIGNMENT: usize = 64;

/// A header, in the order of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Json {
    #[serde(rename = "__metadata__")]
    pub metadata: Metadata,
    pub features: Part,
    pub logits: Part,
    pub targets: Part,
    pub ids: Part,
}

/// The metadata of the safetensors format, in which every value is a string.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metadata {
    format: String,
    version: String,
    pub modality: Modality,
    pub weights: Digest,
    pub data: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    pub storage: Storage,
    samples: String,
    /// SHA-256 of the payload, then of the prefix and the header with zeros in this place.
    pub checksum: Digest,
}

/// One tensor of the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub dtype: Dtype,
    pub shape: Vec<i64>,
    pub data_offsets: [u64; 2],
}

impl Metadata {
    /// Metadata without the number of samples and the checksum.
    pub(super) fn new(
        modality: Modality,
        weights: Digest,
        data: Digest,
        view: Option<String>,
        storage: Storage,
    ) -> Self {
        let (format, version) = (FORMAT.into(), VERSION.to_string());
        let (samples, checksum) = (String::new(), Digest::BLANK);
        Self { format, version, modality, weights, data, view, storage, samples, checksum }
    }
}

impl Part {
    /// A part without its offsets.
    pub(super) fn new(dtype: Dtype, shape: Vec<i64>) -> Self {
        Self { dtype, shape, data_offsets: [0; 2] }
    }

    /// Number of bytes; `None` if it overflows or a dimension is negative.
    fn bytes(&self) -> Option<u64> {
        let size = self.dtype.bitsize() as u64 / 8;
        let multiply = |bytes: u64, &n: &i64| bytes.checked_mul(u64::try_from(n).ok()?);
        self.shape.iter().try_fold(size, multiply)
    }
}

impl Json {
    pub(super) fn parts(&self) -> [&Part; 4] {
        [&self.features, &self.logits, &self.targets, &self.ids]
    }

    fn parts_mut(&mut self) -> [&mut Part; 4] {
        [&mut self.features, &mut self.logits, &mut self.targets, &mut self.ids]
    }

    /// Sets the number of samples and, from it, the offsets of the parts; `None` if the payload would
    /// have 2⁶⁴ bytes or more.
    pub(super) fn with_samples(mut self, samples: i64) -> Option<Self> {
        self.metadata.samples = samples.to_string();
        let mut at = 0_u64;
        for part in self.parts_mut() {
            part.shape[0] = samples;
            let end = at.checked_add(part.bytes()?)?;
            part.data_offsets = [at, end];
            at = end;
        }
        Some(self)
    }

    /// Number of bytes to reserve for prefix and header, enough for any number of samples.
    pub(super) fn room(&self) -> Result<usize> {
        let mut longest = self.clone();
        longest.metadata.samples = i64::MAX.to_string();
        for part in longest.parts_mut() {
            part.shape[0] = i64::MAX;
            part.data_offsets = [u64::MAX; 2];
        }
        let room = (longest.text()?.len() + 8).next_multiple_of(ALIGNMENT);
        if room as u64 <= LONGEST {
            return Ok(room);
        }
        let what = "names of modality and view in the teacher cache";
        let expected = format!("a header of at most {LONGEST} bytes");
        Err(error::config(what, expected, room, "use shorter names"))
    }

    /// Prefix and header in `room` bytes, with the checksum of the `payload` and of themselves.
    pub(super) fn seal(mut self, room: usize, mut payload: Hasher) -> Result<Vec<u8>> {
        payload.update(&self.render(room)?);
        self.metadata.checksum = payload.finish();
        self.render(room)
    }

    fn render(&self, room: usize) -> Result<Vec<u8>> {
        let mut bytes = ((room - 8) as u64).to_le_bytes().to_vec();
        bytes.extend(self.text()?.bytes());
        bytes.resize(room, b' ');
        Ok(bytes)
    }

    fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(altered)
    }

    /// Refuses parts that do not fill a payload of `payload` bytes one after the other, or that do not
    /// match each other.
    pub(super) fn check(&self, payload: u64) -> Result<()> {
        let samples = self.features.shape.first().copied().unwrap_or(0);
        let mut at = 0_u64;
        for (name, part) in ["features", "logits", "targets", "ids"].iter().zip(self.parts()) {
            let Part { dtype, shape, data_offsets: [from, to] } = part;
            let rows = shape.first() == Some(&samples) && shape.iter().all(|&n| n > 0);
            if !rows || *from != at || to < from || part.bytes() != Some(to - from) {
                return Err(altered(format!("{name} {dtype:?} {shape:?} at {from} to {to}")));
            }
            at = *to;
        }
        let float = |dtype| matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64);
        let stored = match self.metadata.storage {
            Storage::Full => float(self.features.dtype),
            Storage::Half => self.features.dtype == Dtype::F16,
            Storage::BFloat16 => self.features.dtype == Dtype::BF16,
        };
        let valid = self.metadata.samples == samples.to_string()
            && self.features.shape.len() >= 2
            && self.logits.shape.len() == 2
            && self.ids.shape.len() == 1
            && stored
            && matches!(self.logits.dtype, Dtype::F32 | Dtype::F64)
            && self.ids.dtype == Dtype::I64
            && kind_of(self.targets.dtype).is_some();
        if !valid {
            return Err(altered("parts that do not match each other"));
        }
        if at == payload {
            return Ok(());
        }
        let expected = format!("{at} bytes after the header");
        let hint = if payload < at {
            "the file is cut off: record it again"
        } else {
            "bytes were added to the file: record it again"
        };
        Err(error::cache("teacher cache", expected, payload, hint))
    }
}

/// The error of a file whose content has changed since it was written.
pub(super) fn altered(found: impl std::fmt::Display) -> Error {
    error::cache("teacher cache", "the file as it was written", found, "record it again")
}
