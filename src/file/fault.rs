//! What is wrong with a file that is no valid safetensors file.

use std::fmt;

use safetensors::{Dtype, SafeTensorError};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::format::Format;

/// The longest header that the format allows, in bytes.
pub(super) const LONGEST: u64 = 100_000_000;
const COPY: &str = "use a complete copy of the file";
const WRITE: &str = "write the file again with `safetensors.torch.save_file`";

/// What was found, and how to correct it.
pub(super) struct Fault {
    pub(super) found: String,
    pub(super) hint: String,
}

impl Fault {
    fn new(found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { found: found.into(), hint: hint.into() }
    }

    /// The fault of `bytes`, which the safetensors library refuses for `reason`.
    pub(super) fn from_bytes(bytes: &[u8], reason: &SafeTensorError) -> Self {
        let other = Format::from_bytes(bytes).filter(|format| *format != Format::Safetensors);
        if let Some(format) = other {
            return Self::new(format.to_string(), conversion(format));
        }
        let Some((prefix, rest)) = bytes.split_first_chunk::<8>() else {
            return Self::new(format!("{} bytes", bytes.len()), COPY);
        };
        let length = u64::from_le_bytes(*prefix);
        if length > LONGEST {
            let found = "bytes that do not begin with the length of a header";
            return Self::new(found, format!("the file has another format: {WRITE}"));
        }
        if length > rest.len() as u64 {
            let found = format!("{} of the {length} bytes of its header", rest.len());
            return Self::new(found, COPY);
        }
        let (header, payload) = rest.split_at(length as usize);
        match serde_json::from_slice::<Entries>(header) {
            Err(e) => Self::new(format!("a header that is not JSON ({e})"), WRITE),
            Ok(Entries(entries)) => in_entries(&entries, payload.len() as u64)
                .unwrap_or_else(|| Self::new(reason.to_string(), WRITE)),
        }
    }
}

/// The first fault of a header's entries, for a payload of `length` bytes.
fn in_entries(entries: &[(String, Value)], length: u64) -> Option<Fault> {
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let found = format!("the name {:?} twice in the header", pair[0]);
        return Some(Fault::new(found, "give every tensor a name of its own"));
    }
    let mut parts = Vec::new();
    for (name, entry) in entries {
        if name == "__metadata__" {
            if let Some(fault) = in_metadata(entry) {
                return Some(fault);
            }
        } else {
            match part(name, entry) {
                Ok(part) => parts.push(part),
                Err(fault) => return Some(fault),
            }
        }
    }
    parts.sort_unstable();
    let mut at = 0;
    for (from, to, name) in parts {
        if from != at {
            let found =
                format!("tensor {name:?} at byte {from}, where the one before it ends at {at}");
            return Some(Fault::new(found, WRITE));
        }
        at = to;
    }
    match length.cmp(&at) {
        std::cmp::Ordering::Less => {
            let found = format!("{length} of the {at} bytes of its tensors");
            Some(Fault::new(found, COPY))
        }
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => {
            let found = format!("{} bytes after the last tensor", length - at);
            let hint = "the tensors are complete: remove what was appended to the file";
            Some(Fault::new(found, hint))
        }
    }
}

fn in_metadata(metadata: &Value) -> Option<Fault> {
    let Value::Object(texts) = metadata else {
        let found = format!("metadata that are no object: {metadata}");
        return Some(Fault::new(found, WRITE));
    };
    let (key, value) = texts.iter().find(|(_, value)| !value.is_string())?;
    let found = format!("{value} under {key:?} in the metadata, whose values are strings");
    let hint = "the tensors may be complete: write the file again with `metadata` of type \
                dict[str, str]";
    Some(Fault::new(found, hint))
}

/// First and last byte of a tensor, and its name.
fn part<'e>(name: &'e str, entry: &Value) -> Result<(u64, u64, &'e str), Fault> {
    #[derive(Deserialize)]
    struct Entry {
        dtype: Value,
        shape: Vec<u64>,
        data_offsets: (u64, u64),
    }

    let invalid = |e| Fault::new(format!("an entry for {name:?} that is invalid ({e})"), WRITE);
    let Entry { dtype, shape, data_offsets: (from, to) } =
        Entry::deserialize(entry).map_err(invalid)?;
    let Ok(known) = Dtype::deserialize(&dtype) else {
        let hint = "convert the tensor in Python, for example with `tensor.float()`";
        return Err(Fault::new(format!("tensor {name:?} of the unknown dtype {dtype}"), hint));
    };
    let bits = shape.iter().try_fold(known.bitsize() as u64, |bits, &n| bits.checked_mul(n));
    if to.checked_sub(from).is_none_or(|size| size.checked_mul(8) != bits) {
        let found = format!("tensor {name:?} of {known} {shape:?} in bytes {from} to {to}");
        return Err(Fault::new(found, WRITE));
    }
    Ok((from, to, name))
}

/// How to make a file of weights out of another format.
fn conversion(format: Format) -> &'static str {
    match format {
        Format::TorchSave | Format::LegacyTorchSave => {
            "convert it in Python with `torch.load` and `safetensors.torch.save_file`; a checkpoint \
             or a pickled module contains the tensors in its `state_dict` (docs/from-python.md)"
        }
        Format::TorchScript => {
            "load it as `teacher::TorchScript`, or write the module's `state_dict()` with \
             `safetensors.torch.save_file`"
        }
        Format::TorchExport => {
            "write the program's `state_dict` with `safetensors.torch.save_file`"
        }
        Format::ShardIndex => {
            "join the shards in Python: read each with `safetensors.torch.load_file` and write all \
             tensors to one file with `save_file`"
        }
        Format::LfsPointer => "fetch the file with `git lfs pull`",
        Format::Html => "a download has returned a web page: download the file itself",
        Format::Empty | Format::IncompleteZip => COPY,
        _ => "write the tensors with `safetensors.torch.save_file`",
    }
}

/// The entries of a JSON object in their order, with repeated names.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'de> Visitor<'de> for Visit {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Visit)
    }
}
