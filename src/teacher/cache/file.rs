//! Teacher outputs in a file.

use std::path::{Path, PathBuf};

use tch::Device;

use super::{Cached, Header, Identity, Storage, open, record};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::teacher::Teacher;

/// A safetensors file with a teacher's outputs, bound to the teacher and the data.
///
/// The file's header has the [`Identity`], the [`Storage`], the number of samples and a SHA-256 of all
/// other bytes. Opening reads the file once to check it ([`check_content`](Self::check_content)), then maps
/// it: outputs stay in the system's page cache, and ids are indexed. docs/caching.md describes the format and the costs.
///
/// # Example
/// ```
/// use g2d::{
///     Batch, Teacher,
///     teacher::{FrozenModel, cache::{Digest, Identity, OutputFile}},
/// };
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
    check_content: bool,
}

impl OutputFile {
    /// The file at `path`, which may not exist yet and must belong to `identity`.
    pub fn new(path: impl Into<PathBuf>, identity: Identity) -> Self {
        Self { path: path.into(), identity, storage: Storage::default(), check_content: true }
    }

    /// Sets the dtype of stored features; [`Storage::Full`] by default.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    /// Sets whether [`open`](Self::open) reads the whole file to check its SHA-256, true by default. Without
    /// it, opening takes a time that does not depend on the size of the features: the header and the ids are
    /// checked, and a byte that has changed elsewhere is not found. For a large file that was checked before,
    /// by [`Header::from_file`].
    pub fn check_content(mut self, check: bool) -> Self {
        self.check_content = check;
        self
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `teacher`, whose modality has index `m` in the batches, once over every batch and writes
    /// its outputs. Replaces an existing file, atomically.
    ///
    /// Features are written batch by batch; logits, targets and ids are kept in memory until the end.
    /// A crash may leave a hidden `.part` file beside `path`.
    ///
    /// # Errors
    /// [`Error::Cache`] if the teacher's modality, features or logits do not match the identity; the
    /// errors of [`Cached::record`]; [`Error::NonFinite`] if features or logits are not finite, also in
    /// the dtype of the [`Storage`]; [`Error::Io`] if the file cannot be written.
    pub fn record(
        &self,
        teacher: &dyn Teacher,
        m: usize,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<()> {
        record::record(&self.path, &self.identity, self.storage, teacher, m, batches)
    }

    /// Opens the file, for outputs on `device`.
    ///
    /// Lookups run on the host; the rows of a batch are copied to a CUDA device from pinned memory,
    /// asynchronously. Features in 16 bits are returned as `Float`. Do not change the file while it is
    /// open: replace it by renaming another file over it, as `record` does.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it has another or a newer format,
    /// another identity or storage, is truncated, or any byte has changed
    /// ([`check_content`](Self::check_content)).
    pub fn open(&self, device: Device) -> Result<Cached> {
        let check = |header: &Header| self.identity.check(self.storage, header);
        open::open(&self.path, check, self.check_content, device)
    }

    /// Opens the file; records it first if it does not exist. An existing file is never replaced: one
    /// of another identity is an error.
    ///
    /// # Errors
    /// The errors of [`record`](Self::record) and [`open`](Self::open).
    pub fn open_or_record(
        &self,
        device: Device,
        teacher: &dyn Teacher,
        m: usize,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Cached> {
        let exists = self.path.try_exists();
        if !exists.map_err(|source| Error::io("look for", &self.path, source))? {
            self.record(teacher, m, batches)?;
        }
        self.open(device)
    }
}
