//! Answers kept in a file.

use std::path::{Path, PathBuf};

use tch::Device;

use super::{Cached, Header, Identity, Storage, open, record};
use crate::{
    batch::Batch,
    error::{Error, Result},
    teacher::Teacher,
};

/// A safetensors file of a teacher's answers, bound to what it belongs to.
///
/// The file's header holds the [`Identity`], the [`Storage`], the number of samples and a
/// SHA-256 over all other bytes. Opening reads the file once to check it, then maps it: features stay
/// in the system's page cache, and only logits, targets and ids are copied. docs/caching.md describes
/// the format and the costs.
///
/// # Example
/// ```
/// use g2d::{Batch, FrozenModel, Identity, OutputFile, Teacher, teacher::cache::Digest};
/// use tch::{Device, Kind, Tensor, nn, nn::Module};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("audio.safetensors");
///
/// let mut vs = nn::VarStore::new(Device::Cpu);
/// let encoder = nn::linear(vs.root() / "net", 8, 4, Default::default());
/// let head = nn::linear(vs.root() / "classifier", 4, 3, Default::default());
/// let identity = Identity::new("audio", Digest::from_weights(&vs)?, Digest::from_parts(["my data"]));
/// let teacher = FrozenModel::new("audio", &mut vs, move |input, _train| {
///     let features = encoder.forward(input).relu();
///     let logits = head.forward(&features);
///     (features, logits)
/// });
///
/// let loader = || {
///     let input = Tensor::rand([2, 8], (Kind::Float, Device::Cpu));
///     [Ok(Batch::new([input], Tensor::from_slice(&[0_i64, 2])).with_ids([7, 8]))]
/// };
/// let file = OutputFile::new(&path, identity);
/// let cached = file.open_or_record(Device::Cpu, &teacher, 0, loader())?;
/// assert_eq!(cached.len(), 2);
/// let [batch] = loader();
/// assert_eq!(cached.output(0, &batch?)?.features.size(), [2, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct OutputFile {
    path: PathBuf,
    identity: Identity,
    storage: Storage,
}

impl OutputFile {
    /// The file at `path`, there or not yet, which must belong to `identity`.
    pub fn new(path: impl Into<PathBuf>, identity: Identity) -> Self {
        Self { path: path.into(), identity, storage: Storage::default() }
    }

    /// Chooses in which kind features are kept; [`Storage::Full`] without this.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks `teacher`, whose modality has index `m` in the batches, about every batch once, and
    /// writes what it says; a file that was there is replaced when the new one is whole.
    ///
    /// Features go to disk batch by batch; only logits, targets and ids wait in memory. After a
    /// crash there may be a hidden `.part` beside `path`, never a half file at `path`.
    ///
    /// # Errors
    /// [`Error::Cache`] if the teacher's modality, features or logits are not the identity's; as
    /// [`Cached::record`]; [`Error::NonFinite`] if features or logits are not finite, or not
    /// in the kind of the [`Storage`]; [`Error::Io`] if the file cannot be written.
    pub fn record(
        &self,
        teacher: &dyn Teacher,
        m: usize,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<()> {
        record::record(&self.path, &self.identity, self.storage, teacher, m, batches)
    }

    /// Opens the file for answers on `device`.
    ///
    /// Lookups happen on the host; on CUDA the rows of a batch go to the device by pinned memory,
    /// and nothing waits. Features kept in 16 bits are given back as `Float`. The file must stay as
    /// it is while it is open: replace it by renaming another over it, as `record` does.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Data`] if it is no such file, of a newer format,
    /// belongs to another identity or storage, is cut, or any byte was altered.
    pub fn open(&self, device: Device) -> Result<Cached> {
        let check = |header: &Header| self.identity.check(self.storage, header);
        open::open(&self.path, check, device)
    }

    /// Opens the file, recording it first where there is none. One that is there is never replaced:
    /// if it does not belong, that is an error.
    ///
    /// # Errors
    /// As [`record`](Self::record) and [`open`](Self::open).
    pub fn open_or_record(
        &self,
        device: Device,
        teacher: &dyn Teacher,
        m: usize,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Cached> {
        let there = self.path.try_exists();
        if !there.map_err(|source| Error::io("look for", &self.path, source))? {
            self.record(teacher, m, batches)?;
        }
        self.open(device)
    }
}
