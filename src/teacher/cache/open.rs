//! Opens a file of teacher outputs.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use tch::{Device, Kind, TchError, Tensor};

use super::{
    Cached, Header,
    column::Column,
    header::in_file,
    index::SampleIndex,
    json::{Part, altered},
    storage::returned_kind,
};
use crate::error::{Error, Result};
use crate::file::dtype::kind_of;

/// Opens `path` if `check` accepts its header and, unless `check_content` is false, no byte has changed.
///
/// Check and use read the same mapping, so that the file cannot be exchanged in between.
pub(super) fn open(
    path: &Path,
    check: impl FnOnce(&Header) -> Result<()>,
    check_content: bool,
    device: Device,
) -> Result<Cached> {
    let mut mapped = Mapped::open(path)?;
    let length = mapped.bytes.numel() as u64;
    let checked = || {
        let (header, raw) = Header::parse(&mut mapped, length)?;
        check(&header)?;
        if check_content {
            header.verify(raw, &mut mapped)?;
        }
        Ok(header)
    };
    let header = checked().map_err(|error| in_file(path, error))?;
    let read = || {
        let [features, logits, targets, ids] = header.parts();
        let features = view(&mapped.part(features, header.start())?, features)?;
        let column = |part: &Part| column(mapped.part(part, header.start())?, part);
        let ids = integers(&mapped.part(ids, header.start())?)?;
        Ok((features, [column(logits)?, column(targets)?], ids))
    };
    let (features, columns, ids) = read().map_err(|e| map_error(path, e))?;
    let rows = SampleIndex::new(ids).ok_or_else(|| in_file(path, altered("a repeated id")))?;
    let kind = returned_kind(features.kind());
    Ok(Cached::new(header.modality().clone(), rows, features, columns, kind, device))
}

/// The bytes of `part` as its tensor.
fn view(bytes: &Tensor, part: &Part) -> std::result::Result<Tensor, TchError> {
    bytes.f_view_dtype(known_kind(part)?)?.f_view(part.shape.as_slice())
}

/// The bytes of `part` as rows.
fn column(bytes: Tensor, part: &Part) -> std::result::Result<Column, TchError> {
    let bytes = bytes.f_view([part.shape[0], -1])?;
    Ok(Column::Mapped { bytes, kind: known_kind(part)?, row: part.shape[1..].to_vec() })
}

fn known_kind(part: &Part) -> std::result::Result<Kind, TchError> {
    let unknown = || TchError::Convert(format!("tch has no dtype for {}", part.dtype));
    kind_of(part.dtype).ok_or_else(unknown)
}

/// The numbers of little-endian bytes, copied piece by piece.
fn integers(bytes: &Tensor) -> std::result::Result<Vec<i64>, TchError> {
    const PIECE: usize = 1 << 20;
    let length = bytes.numel();
    let mut all = Vec::with_capacity(length / 8);
    let mut buffer = vec![0; PIECE.min(length)];
    for from in (0..length).step_by(PIECE) {
        let piece = &mut buffer[..PIECE.min(length - from)];
        bytes.f_narrow(0, from as i64, piece.len() as i64)?.f_copy_data_u8(piece, piece.len())?;
        let (numbers, _) = piece.as_chunks();
        all.extend(numbers.iter().map(|number| i64::from_le_bytes(*number)));
    }
    Ok(all)
}

fn map_error(path: &Path, source: TchError) -> Error {
    Error::torch(format!("map {}", path.display()), source)
}

/// A mapped file and a reading position in it.
struct Mapped {
    bytes: Tensor,
    at: i64,
}

impl Mapped {
    fn open(path: &Path) -> Result<Self> {
        let metadata = fs::File::open(path).and_then(|file| file.metadata());
        let metadata = metadata.map_err(|source| Error::io("open", path, source))?;
        let text = match path.to_str() {
            _ if !metadata.is_file() => Err(("something that is no file", "check the path")),
            _ if metadata.len() == 0 => Err(("an empty file", "remove it, and record it again")),
            None => Err(("a path that is not UTF-8", "rename the file or its folder")),
            Some(text) => Ok(text),
        };
        let text = text.map_err(|(found, hint)| {
            Error::data(path, "file", "a teacher cache, at a path in UTF-8", found, hint)
        })?;
        let bytes = (Kind::Uint8, Device::Cpu);
        let bytes = Tensor::f_from_file(text, false, metadata.len() as i64, bytes);
        Ok(Self { bytes: bytes.map_err(|e| map_error(path, e))?, at: 0 })
    }

    /// The bytes of `part` in a payload that starts at `start`.
    fn part(&self, part: &Part, start: u64) -> std::result::Result<Tensor, TchError> {
        let [from, to] = part.data_offsets.map(|offset| offset as i64);
        self.bytes.f_narrow(0, start as i64 + from, to - from)
    }
}

impl Read for Mapped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = (self.bytes.numel() as i64 - self.at).min(into.len() as i64);
        let part = self.bytes.f_narrow(0, self.at, count);
        let copied = part.and_then(|part| part.f_copy_data_u8(into, count as usize));
        copied.map_err(io::Error::other)?;
        self.at += count;
        Ok(count as usize)
    }
}
