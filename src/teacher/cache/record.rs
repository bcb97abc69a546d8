//! Writes the outputs of a teacher to a file, batch by batch.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

use safetensors::Dtype;
use tch::{Kind, Tensor};

use super::{
    Identity, Storage,
    json::{Json, Part},
    outputs::{self, Outputs},
    storage::returned_kind,
};
use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::file::{Hasher, atomic, dtype::dtype_of};
use crate::teacher::Teacher;
use crate::transfer;

/// Records `teacher` to `path`; see [`OutputFile::record`](super::OutputFile::record).
pub(super) fn record(
    path: &Path,
    identity: &Identity,
    storage: Storage,
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<()> {
    identity.check_modality(teacher.modality())?;
    atomic::write(path, |unfinished| {
        let mut recording: Option<Recording<'_>> = None;
        outputs::for_each(teacher, m, batches, |outputs| {
            if let Some(recording) = &mut recording {
                return recording.add(&outputs);
            }
            let begun = Recording::begin(unfinished, identity, storage, &outputs)?;
            recording.insert(begun).add(&outputs)
        })?;
        recording.map_or(Ok(()), Recording::finish)
    })
}

/// A file without its header. Features are on disk; the other parts are in memory until all features
/// are written.
struct Recording<'a> {
    payload: Payload<'a>,
    json: Json,
    /// The dtypes of features and logits.
    kinds: [Kind; 2],
    logits: Vec<u8>,
    targets: Vec<u8>,
    ids: Vec<u8>,
}

impl<'a> Recording<'a> {
    /// Reserves room for the header, with the shapes of the first outputs.
    fn begin(
        path: &'a Path,
        identity: &Identity,
        storage: Storage,
        first: &Outputs,
    ) -> Result<Self> {
        identity.check_shapes(&first.features.size()[1..], first.logits.size()[1])?;
        let kinds = [storage.kind(first.features.kind()), returned_kind(first.logits.kind())];
        let part = |tensor: &Tensor, kind: Kind| {
            let dtype = dtype_of(kind);
            let dtype = dtype.map_err(|e| Error::torch("convert a dtype to safetensors", e))?;
            Ok::<_, Error>(Part::new(dtype, tensor.size()))
        };
        let json = Json {
            metadata: identity.metadata(storage),
            features: part(&first.features, kinds[0])?,
            logits: part(&first.logits, kinds[1])?,
            targets: part(&first.targets, first.targets.kind())?,
            ids: Part::new(Dtype::I64, vec![0]),
        };
        let payload = Payload::create(path, json.room()?)?;
        let (logits, targets, ids) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { payload, json, kinds, logits, targets, ids })
    }

    fn add(&mut self, outputs: &Outputs) -> Result<()> {
        let [features, logits] = self.kinds;
        let features = transfer::bytes(&convert("features", &outputs.features, features)?)?;
        self.logits.extend(transfer::bytes(&convert("logits", &outputs.logits, logits)?)?);
        self.targets.extend(transfer::bytes(&outputs.targets)?);
        self.ids.extend(outputs.ids.iter().flat_map(|id| id.to_le_bytes()));
        self.payload.append(&features)
    }

    fn finish(mut self) -> Result<()> {
        let samples = self.ids.len() as i64 / 8;
        for part in [&self.logits, &self.targets, &self.ids] {
            self.payload.append(part)?;
        }
        let json = self.json.with_samples(samples).ok_or_else(|| {
            error::cache("teacher cache", "fewer than 2⁶⁴ bytes", "more", "record fewer samples")
        })?;
        self.payload.finish(json)
    }
}

/// A file with room for a header, and its payload so far, which is hashed.
struct Payload<'a> {
    path: &'a Path,
    file: BufWriter<File>,
    room: usize,
    hasher: Hasher,
}

impl<'a> Payload<'a> {
    fn create(path: &'a Path, room: usize) -> Result<Self> {
        let create = || {
            let mut file = BufWriter::new(File::create(path)?);
            file.write_all(&vec![0; room])?;
            Ok(file)
        };
        let file = create().map_err(|source| Error::io("write", path, source))?;
        Ok(Self { path, file, room, hasher: Hasher::default() })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|source| Error::io("write", self.path, source))
    }

    /// Writes the header into its room.
    fn finish(mut self, json: Json) -> Result<()> {
        let header = json.seal(self.room, self.hasher)?;
        let mut write = || -> io::Result<()> {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&header)?;
            self.file.flush()
        };
        write().map_err(|source| Error::io("write", self.path, source))
    }
}

/// `tensor` in dtype `kind`; an error if it is not finite in it.
fn convert(name: &str, tensor: &Tensor, kind: Kind) -> Result<Tensor> {
    let failed = |e| Error::torch("convert a teacher output for storage", e);
    let converted = tensor.f_to_kind(kind).map_err(failed)?;
    let finite = |t: &Tensor| t.f_isfinite()?.f_all().and_then(bool::try_from);
    if finite(&converted).map_err(failed)? {
        return Ok(converted);
    }
    let (found, hint) = if finite(tensor).map_err(failed)? {
        ("a value beyond its range", "choose `Storage::BFloat16` or `Storage::Full`")
    } else {
        ("NaN or infinity", "check the teacher's weights and the inputs")
    };
    let (what, expected) =
        (format!("{name} of the teacher to record"), format!("finite numbers in {kind:?}"));
    Err(error::non_finite(what, expected, found, hint))
}
