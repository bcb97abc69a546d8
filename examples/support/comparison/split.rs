//! The samples of a split.

use g2d::{
    Batch,
    data::{InMemory, Order},
    paper::data::ClipLoader,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tch::{Device, Tensor};

/// The samples of a split, in memory or on disk.
pub enum SplitData {
    Memory(InMemory),
    Clips(ClipLoader),
}

/// The batches of an epoch.
pub type BatchIterator<'s> = Box<dyn Iterator<Item = g2d::Result<Batch>> + 's>;

impl SplitData {
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(set) => set.len(),
            Self::Clips(loader) => loader.len(),
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
        self.batches(0, batch_size, Order::Stored, device)
    }

    /// All samples in random order, a function of `seed` and `epoch`. A last batch of one sample is
    /// left out: batch norm has no variance for it, and it cannot rank modalities.
    pub fn shuffled(
        &self,
        seed: u64,
        epoch: u64,
        batch_size: usize,
        device: Device,
    ) -> BatchIterator<'_> {
        // One generator shuffles epoch after epoch, so the earlier epochs are shuffled again.
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rows: Vec<u32> = vec![0; self.len()];
        (0..epoch).for_each(|_| rows.shuffle(&mut rng));
        let several = |batch: &g2d::Result<Batch>| batch.as_ref().map_or(true, |b| b.size() > 1);
        let order = Order::Shuffled(&mut rng);
        Box::new(self.batches(epoch, batch_size, order, device).filter(several))
    }

    fn batches(
        &self,
        epoch: u64,
        batch_size: usize,
        order: Order<'_>,
        device: Device,
    ) -> BatchIterator<'_> {
        match self {
            Self::Memory(set) => Box::new(set.batches(batch_size, order, device)),
            // The loader was created with its batch size.
            Self::Clips(loader) => Box::new(loader.batches(epoch, order, device)),
        }
    }
}
