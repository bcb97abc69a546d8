//! The text of a header, and where it says that the parts stand.

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::{Identity, Storage, header::altered};
use crate::{
    error::{self, Result},
    file::{Digest, Hasher},
    modality::Modality,
};

pub(super) const FORMAT: &str = "g2d teacher cache";
pub(super) const VERSION: u64 = 1;
/// The longest header that is read, in bytes; ours have about a thousand.
pub(super) const LONGEST: u64 = 1 << 20;
/// Payloads start at a multiple of this, so that mapped features are aligned.
const ALIGNMENT: usize = 64;

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
    pub modality: Modality,
    pub weights: Digest,
    pub data: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
    pub storage: Storage,
    samples: String,
    /// SHA-256 of the payload, then of the prefix and header with zeros in this place.
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

impl About {
    /// Not sealed yet.
    pub(super) fn new(identity: &Identity, storage: Storage) -> Self {
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
    pub(super) fn parts(&self) -> [&Part; 4] {
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
    pub(super) fn check(&self, payload: u64) -> Result<()> {
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
