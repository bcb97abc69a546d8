//! Samples of one split, and their order.

use g2d::{
    Batch,
    data::{InMemory, Order},
    paper::data::ClipLoader,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use tch::{Device, Tensor};

/// Samples of one split, in memory or on disk.
pub enum Source {
    Memory(InMemory),
    #[allow(dead_code, reason = "clips are audio_visual's")]
    Clips(ClipLoader),
}

/// Batches of one epoch.
pub type Batches<'s> = Box<dyn Iterator<Item = g2d::Result<Batch>> + 's>;

impl Source {
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(set) => set.len(),
            Self::Clips(loader) => loader.len(),
        }
    }

    pub fn share(&self) -> Self {
        match self {
            Self::Memory(set) => Self::Memory(set.share()),
            Self::Clips(loader) => Self::Clips(loader.clone()),
        }
    }

    /// The first `n` samples of a set in memory.
    pub fn first(self, n: usize) -> g2d::Result<Self> {
        match self {
            Self::Memory(set) => set.first(n).map(Self::Memory),
            clips => Ok(clips),
        }
    }

    /// The targets of a set in memory.
    pub fn targets(&self) -> Option<&Tensor> {
        match self {
            Self::Memory(set) => Some(set.targets()),
            Self::Clips(_) => None,
        }
    }

    /// Is every sample the same in every epoch?
    pub fn steady(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Few enough, and near enough, to hold as batches for what is measured once.
    pub fn small(&self) -> bool {
        self.steady() && self.len() <= 5000
    }

    /// All samples once, as they are stored.
    pub fn stored(&self, size: usize, device: Device) -> Batches<'_> {
        self.batches(0, size, Order::Stored, device)
    }

    /// All samples once, in the order of `epoch`, a function of it and `seed`: one generator shuffles
    /// epoch after epoch. A last batch of one sample is left out: it has no variance for batch norm, and
    /// no order of modalities can rest on it.
    pub fn shuffled(&self, seed: u64, epoch: u64, size: usize, device: Device) -> Batches<'_> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rows: Vec<u32> = vec![0; self.len()];
        (0..epoch).for_each(|_| rows.shuffle(&mut rng));
        let whole = |batch: &g2d::Result<Batch>| batch.as_ref().map_or(true, |b| b.size() > 1);
        Box::new(self.batches(epoch, size, Order::Shuffled(&mut rng), device).filter(whole))
    }

    fn batches(&self, epoch: u64, size: usize, order: Order<'_>, device: Device) -> Batches<'_> {
        match self {
            Self::Memory(set) => Box::new(set.batches(size, order, device)),
            Self::Clips(loader) => Box::new(loader.batches(epoch, order, device)),
        }
    }
}
