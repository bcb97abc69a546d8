//! File formats that are passed where another one is expected.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

/// The number of bytes at each end of a file that are searched. A zip archive lists its files at its end.
const SEARCHED: usize = 1 << 16;

/// A file format, recognised by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Empty,
    TorchSave,
    LegacyTorchSave,
    TorchScript,
    TorchExport,
    Safetensors,
    ShardIndex,
    Npz,
    Npy,
    Gguf,
    Hdf5,
    Zip,
    IncompleteZip,
    Gzip,
    Json,
    LfsPointer,
    Html,
}

impl Format {
    /// The format of the file at `path`; `None` if it is none of these.
    pub(crate) fn from_file(path: &Path) -> io::Result<Option<Self>> {
        let mut file = File::open(path)?;
        let mut ends = Vec::new();
        file.by_ref().take(SEARCHED as u64).read_to_end(&mut ends)?;
        let head = ends.len();
        let length = file.metadata()?.len();
        let tail = length.saturating_sub(head as u64).min(SEARCHED as u64);
        file.seek(SeekFrom::Start(length - tail.min(length)))?;
        file.take(tail).read_to_end(&mut ends)?;
        Ok(Self::from_ends(&ends[..head], &ends[head..]))
    }

    /// The format of a file with these bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let head = bytes.len().min(SEARCHED);
        let tail = bytes.len().saturating_sub(SEARCHED).max(head);
        Self::from_ends(&bytes[..head], &bytes[tail..])
    }

    fn from_ends(head: &[u8], tail: &[u8]) -> Option<Self> {
        let has = |text: &str| [head, tail].iter().any(|part| contains(part, text.as_bytes()));
        let text = head.trim_ascii_start();
        let begins = |word: &str| {
            text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word.as_bytes()))
        };
        Some(match head {
            [] => Self::Empty,
            [b'P', b'K', 3, 4, ..] => match () {
                // Its list of files, which distinguishes the following, is at its end.
                () if !has("PK\x05\x06") => Self::IncompleteZip,
                () if has("/constants.pkl") => Self::TorchScript,
                () if has("/archive_format") || has("serialized_exported_program") => {
                    Self::TorchExport
                }
                () if has("/data.pkl") => Self::TorchSave,
                () if has(".npy") => Self::Npz,
                () => Self::Zip,
            },
            // The magic number 0x1950a86a20f9469cfc6c of torch.save, pickled.
            [0x80, _, 0x8a, 0x0a, 0x6c, 0xfc, ..] => Self::LegacyTorchSave,
            [0x80, 2..=5, ..] if has("torch") => Self::LegacyTorchSave,
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            [0x89, b'H', b'D', b'F', ..] => Self::Hdf5,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'G', b'G', b'U', b'F', ..] => Self::Gguf,
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => Self::Safetensors,
            _ if begins("version https://git-lfs") => Self::LfsPointer,
            _ if begins("<!doctype html") || begins("<html") => Self::Html,
            _ if begins("{") && has("\"weight_map\"") => Self::ShardIndex,
            _ if begins("{") => Self::Json,
            _ => return None,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::TorchSave => "a file of `torch.save`",
            Self::LegacyTorchSave => "a file of `torch.save` in its legacy format",
            Self::TorchScript => "a TorchScript archive",
            Self::TorchExport => "an archive of `torch.export`",
            Self::Safetensors => "a safetensors file",
            Self::ShardIndex => "the index of a sharded checkpoint",
            Self::Npz => "a NumPy archive (.npz)",
            Self::Npy => "a NumPy array (.npy)",
            Self::Gguf => "a GGUF file",
            Self::Hdf5 => "an HDF5 file",
            Self::Zip => "a zip archive",
            Self::IncompleteZip => "a zip archive without its end",
            Self::Gzip => "a gzip file",
            Self::Json => "JSON text",
            Self::LfsPointer => "a Git LFS pointer in place of the file",
            Self::Html => "an HTML page",
        })
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
