//! From a teacher to a file, batch by batch.

use std::{
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
    path::Path,
};

use safetensors::Dtype;
use tch::{Kind, Tensor};

use super::{
    Identity, Storage,
    answers::{self, Answers},
    identity::given_back,
    json::{About, Json, Part},
};
use crate::{
    batch::Batch,
    error::{self, Error, Result},
    file::{Hasher, atomic},
    teacher::Teacher,
    transfer,
};

/// Records `teacher` into `path`; see [`OutputFile::record`](super::CacheFile::record).
pub(super) fn record(
    path: &Path,
    identity: &Identity,
    storage: Storage,
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<()> {
    if teacher.modality() != &identity.modality {
        return Err(error::cache(
            "teacher to record",
            format!("one of modality {:?}, the identity's", identity.modality),
            format!("{:?}", teacher.modality()),
            "give both the same modality",
        ));
    }
    atomic::write(path, |unfinished| {
        let mut recording: Option<Recording<'_>> = None;
        answers::each(teacher, m, batches, |answers| {
            if let Some(recording) = &mut recording {
                return recording.add(&answers);
            }
            let begun = Recording::begin(unfinished, identity, storage, &answers)?;
            recording.insert(begun).add(&answers)
        })?;
        recording.map_or(Ok(()), Recording::finish)
    })
}

/// A file whose header is still blank. Features are on disk; the small parts wait until the number of
/// samples is known.
struct Recording<'a> {
    path: &'a Path,
    file: BufWriter<File>,
    json: Json,
    room: usize,
    kinds: [Kind; 2],
    payload: Hasher,
    logits: Vec<u8>,
    targets: Vec<u8>,
    ids: Vec<u8>,
}

impl<'a> Recording<'a> {
    /// Leaves room for the header, whose shapes the first answers tell.
    fn begin(
        path: &'a Path,
        identity: &Identity,
        storage: Storage,
        first: &Answers,
    ) -> Result<Self> {
        identity.check_shapes(&first.features.size()[1..], first.logits.size()[1])?;
        let kinds = [storage.kind(first.features.kind()), given_back(first.logits.kind())];
        let part = |tensor: &Tensor, kind: Kind| {
            let dtype = Dtype::try_from(kind).map_err(|e| Error::torch("name a kind", e))?;
            Ok::<_, Error>(Part { dtype, shape: tensor.size(), data_offsets: [0; 2] })
        };
        let json = Json {
            about: About::new(identity, storage),
            features: part(&first.features, kinds[0])?,
            logits: part(&first.logits, kinds[1])?,
            targets: part(&first.targets, first.targets.kind())?,
            ids: Part { dtype: Dtype::I64, shape: vec![0], data_offsets: [0; 2] },
        };
        let room = json.room()?;
        let create = || {
            let mut file = BufWriter::new(File::create(path)?);
            file.write_all(&vec![0; room])?;
            Ok(file)
        };
        let file = create().map_err(|source| Error::io("write", path, source))?;
        let (logits, targets, ids) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { path, file, json, room, kinds, payload: Hasher::default(), logits, targets, ids })
    }

    fn add(&mut self, answers: &Answers) -> Result<()> {
        let features = transfer::bytes(&stored("features", &answers.features, self.kinds[0])?)?;
        self.logits.extend(transfer::bytes(&stored("logits", &answers.logits, self.kinds[1])?)?);
        self.targets.extend(transfer::bytes(&answers.targets)?);
        self.ids.extend(answers.ids.iter().flat_map(|id| id.to_le_bytes()));
        self.append(&features)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.payload.update(bytes);
        self.file.write_all(bytes).map_err(|source| Error::io("write", self.path, source))
    }

    /// Writes the small parts, then the header in its place.
    fn finish(mut self) -> Result<()> {
        let samples = self.ids.len() as i64 / 8;
        for part in [&mut self.logits, &mut self.targets, &mut self.ids].map(std::mem::take) {
            self.append(&part)?;
        }
        let json = self.json.of_samples(samples).ok_or_else(|| {
            error::cache("teacher cache", "fewer than 2⁶⁴ bytes", "more", "record fewer samples")
        })?;
        let header = json.seal(self.room, self.payload)?;
        let mut write = || {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&header)?;
            self.file.flush()
        };
        write().map_err(|source| Error::io("write", self.path, source))
    }
}

/// `tensor` in `kind`, if it is finite in it.
fn stored(name: &str, tensor: &Tensor, kind: Kind) -> Result<Tensor> {
    let failed = |e| Error::torch("store a teacher's answer", e);
    let stored = tensor.f_to_kind(kind).map_err(failed)?;
    let finite = |t: &Tensor| t.f_isfinite()?.f_all().and_then(bool::try_from);
    if finite(&stored).map_err(failed)? {
        return Ok(stored);
    }
    let (found, hint) = if finite(tensor).map_err(failed)? {
        ("a value beyond its range", "choose `Storage::BFloat16` or `Storage::Full`")
    } else {
        ("NaN or infinity", "check the teacher's weights and the inputs")
    };
    let what = format!("{name} of the teacher to record");
    Err(error::non_finite(what, format!("finite numbers in {kind:?}"), found, hint))
}
