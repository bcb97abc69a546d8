//! The samples of a split.

use g2d::{
    Batch,
    data::{Dataset, InMemory, Loader, Part},
    paper::data::ClipDataset,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tch::{Device, Tensor};

/// The samples of a split, in memory or on disk.
pub enum SplitData {
    Memory(InMemory),
    Clips(Loader<ClipDataset>),
}

/// The batches of an epoch.
pub type BatchIterator<'s> = Box<dyn Iterator<Item = g2d::Result<Batch>> + 's>;

impl SplitData {
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(set) => set.len(),
            Self::Clips(loader) => loader.dataset().len(),
        }
    }

    /// The same samples for another thread.
    pub fn share(&self) -> Self {
        match self {
            Self::Memory(set) => Self::Memory(set.share()),
            Self::Clips(loader) => Self::Clips(loader.clone()),
        }
    }

    /// The first `n` samples of a split in memory; clips on disk are unchanged.
    pub fn first(self, n: usize) -> g2d::Result<Self> {
        match self {
            Self::Memory(set) => set.first(n).map(Self::Memory),
            clips => Ok(clips),
        }
    }

    /// The targets of a split in memory.
    pub fn targets(&self) -> Option<&Tensor> {
        match self {
            Self::Memory(set) => Some(set.targets()),
            Self::Clips(_) => None,
        }
    }

    /// Returns whether the samples are the same in every epoch, so that outputs can be cached.
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Returns whether the split is small enough for measurements that hold all batches in memory.
    pub fn is_small(&self) -> bool {
        self.is_constant() && self.len() <= 5000
    }

    /// All samples in stored order.
    pub fn stored(&self, batch_size: usize, device: Device) -> BatchIterator<'_> {
        self.batches((0..self.len()).collect(), 0, batch_size, device, Part::default())
    }

    /// The `part` of each batch of all samples in random order, a function of `seed` and `epoch`. A last batch of one sample is
    /// left out: batch norm has no variance for it, and it cannot rank modalities.
    pub fn shuffled(
        &self,
        seed: u64,
        epoch: u64,
        batch_size: usize,
        device: Device,
        part: Part,
    ) -> BatchIterator<'_> {
        // The order that the published results have: one generator shuffles epoch after epoch, so the
        // earlier epochs are shuffled again.
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rows: Vec<usize> = (0..self.len()).collect();
        (0..epoch).for_each(|_| rows.shuffle(&mut rng));
        rows.sort_unstable();
        rows.shuffle(&mut rng);
        if rows.len() % batch_size == 1 {
            rows.pop();
        }
        self.batches(rows, epoch, batch_size, device, part)
    }

    /// The number of batches of [`shuffled`](Self::shuffled).
    pub fn shuffled_batches(&self, batch_size: usize) -> usize {
        let rows = self.len();
        (rows - usize::from(rows % batch_size == 1)).div_ceil(batch_size)
    }

    fn batches(
        &self,
        rows: Vec<usize>,
        epoch: u64,
        batch_size: usize,
        device: Device,
        part: Part,
    ) -> BatchIterator<'_> {
        // A last batch with fewer rows than ranks is left out.
        let chunks = rows.chunks(batch_size).filter(|rows| rows.len() >= part.ranks);
        let rows = chunks.map(|rows| rows[part.rows(rows.len())].to_vec()).collect();
        match self {
            Self::Memory(set) => Box::new(set.batches_of(rows, device)),
            Self::Clips(loader) => Box::new(loader.batches_of(rows, epoch, device)),
        }
    }
}
