//! From a file to a teacher, mapped.

use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use tch::{Device, Kind, TchError, Tensor};

use super::{
    Cached, Header,
    header::{about, altered},
    identity::given_back,
    json::Part,
};
use crate::error::{Error, Result};

/// Opens `path` if `belongs` accepts its header and every byte is as it was written.
///
/// All is read through one mapping, so what was checked is what is used.
pub(super) fn open(
    path: &Path,
    belongs: impl FnOnce(&Header) -> Result<()>,
    device: Device,
) -> Result<Cached> {
    let mut mapped = Mapped::open(path)?;
    let length = mapped.bytes.numel() as u64;
    let checked = || {
        let (header, raw) = Header::parse(&mut mapped, length)?;
        belongs(&header)?;
        header.verify(raw, &mut mapped)?;
        Ok(header)
    };
    let header = checked().map_err(|refused| about(path, refused))?;
    let failed = |e| Error::torch(format!("map {}", path.display()), e);
    let [features, logits, targets, ids] =
        header.parts().map(|part| mapped.part(part, header.start()));
    let small = |part: std::result::Result<(Tensor, Kind, &[i64]), TchError>| {
        let (bytes, kind, shape) = part?;
        let copy = bytes.f_to_device_(Device::Cpu, Kind::Uint8, false, true)?;
        copy.f_view_dtype(kind)?.f_view(shape)
    };
    let (bytes, kind, shape) = features.map_err(failed)?;
    let features = bytes.f_view_dtype(kind).and_then(|t| t.f_view(shape)).map_err(failed)?;
    let logits = small(logits).map_err(failed)?;
    let ids = small(ids).and_then(Vec::<i64>::try_from).map_err(failed)?;
    let rows: HashMap<i64, i64> = ids.iter().copied().zip(0..).collect();
    if rows.len() != ids.len() {
        return Err(about(path, altered("an id twice".into())));
    }
    Ok(Cached {
        modality: header.modality().clone(),
        rows: Arc::new(rows),
        features,
        kind: given_back(kind),
        logits,
        targets: small(targets).map_err(failed)?,
        device,
    })
}

/// A file in the page cache, as bytes.
struct Mapped {
    bytes: Tensor,
    at: i64,
}

impl Mapped {
    fn open(path: &Path) -> Result<Self> {
        let about = fs::File::open(path).and_then(|file| file.metadata());
        let about = about.map_err(|source| Error::io("open", path, source))?;
        let Some(text) = path.to_str().filter(|_| about.is_file() && about.len() > 0) else {
            return Err(Error::data(
                path,
                "file",
                "a teacher cache, at a path that is UTF-8",
                if about.is_file() { "an empty file or another path" } else { "no file" },
                "check the path, or record it anew",
            ));
        };
        let bytes =
            Tensor::f_from_file(text, false, about.len() as i64, (Kind::Uint8, Device::Cpu));
        let bytes = bytes.map_err(|e| Error::torch(format!("map {}", path.display()), e))?;
        Ok(Self { bytes, at: 0 })
    }

    /// The bytes of `part`, its kind and shape.
    fn part<'p>(
        &self,
        part: &'p Part,
        start: u64,
    ) -> std::result::Result<(Tensor, Kind, &'p [i64]), TchError> {
        let [from, to] = part.data_offsets.map(|offset| offset as i64);
        let bytes = self.bytes.f_narrow(0, start as i64 + from, to - from)?;
        Ok((bytes, part.dtype.try_into()?, &part.shape))
    }
}

impl Read for Mapped {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.numel() as i64 - self.at;
        let count = left.min(into.len() as i64);
        let copied = self.bytes.f_narrow(0, self.at, count);
        copied
            .and_then(|part| part.f_copy_data_u8(into, count as usize))
            .map_err(io::Error::other)?;
        self.at += count;
        Ok(count as usize)
    }
}
