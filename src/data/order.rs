//! The order of the samples of an epoch, and how they are divided into batches.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{
    Part,
    random::{Purpose, generator},
};
use crate::error::{self, Result};

/// The order of the samples of an epoch, and how they are divided into batches: a function of the seed
/// and the epoch, so that a run which resumes, or a second run, sees the same batches.
///
/// # Example
/// ```
/// use g2d::data::{BatchOrder, LastBatch};
///
/// let order = BatchOrder { last: LastBatch::DropSingle, ..BatchOrder::shuffled(4, 7) };
/// let epoch = order.batches(9, 0)?; // the rows of two batches of four samples, in random order
/// assert_eq!(epoch.len(), order.batches_per_epoch(9)?);
/// assert_eq!(epoch, order.batches(9, 0)?);
/// assert_ne!(epoch, order.batches(9, 1)?);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchOrder {
    /// The number of samples in a batch.
    pub batch_size: usize,
    /// Whether every epoch has a random order of its own, drawn from the seed and the epoch;
    /// otherwise, samples come in the order in which they are stored.
    pub shuffle: bool,
    /// The seed of the order, and of the augmentation by a [`Loader`](super::Loader).
    pub seed: u64,
    /// What happens to a last batch that has fewer samples.
    pub last: LastBatch,
    /// The part of each batch that this process reads; all of it by default. Not a setting: it is not read
    /// from a file.
    #[serde(skip)]
    pub part: Part,
}

/// What happens to a last batch that has fewer samples than the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// It is a batch like the others. Where it has fewer samples than there are ranks, it is left out.
    #[default]
    Keep,
    /// It is left out if it has one sample, or one on some rank: batch norm has no variance for it.
    DropSingle,
    /// It is left out, so that all batches have the same size.
    Drop,
}

impl Default for BatchOrder {
    /// Batches of 32 in stored order, the last one included; seed 0.
    fn default() -> Self {
        Self {
            batch_size: 32,
            shuffle: false,
            seed: 0,
            last: LastBatch::Keep,
            part: Part::default(),
        }
    }
}

impl BatchOrder {
    /// All samples in the order in which they are stored.
    pub fn stored(batch_size: usize) -> Self {
        Self { batch_size, ..Self::default() }
    }

    /// All samples in a random order, another one in each epoch.
    pub fn shuffled(batch_size: usize, seed: u64) -> Self {
        Self { batch_size, shuffle: true, seed, ..Self::default() }
    }

    /// The part of each batch that `rank` of `ranks` ranks reads. The batches of all ranks together are those of
    /// one process, so that a run resumes with another number of ranks, also within an epoch: every rank has as
    /// many batches, and `batch_size` counts the samples of all ranks.
    ///
    /// # Example
    /// ```
    /// use g2d::data::BatchOrder;
    ///
    /// let order = BatchOrder::stored(4);
    /// assert_eq!(order.batches(8, 0)?, [[0, 1, 2, 3], [4, 5, 6, 7]]);
    /// assert_eq!(order.for_rank(1, 2).batches(8, 0)?, [[2, 3], [6, 7]]);
    /// # Ok::<(), g2d::Error>(())
    /// ```
    pub fn for_rank(self, rank: usize, ranks: usize) -> Self {
        Self { part: Part { rank, ranks }, ..self }
    }

    /// Returns the rows of each batch of `epoch` for a data set of `samples` samples: numbers below
    /// `samples`, each at most once.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a batch size of 0 or below the number of ranks, for a rank
    /// that is not below it, and if there would be no batch.
    pub fn batches(&self, samples: usize, epoch: u64) -> Result<Vec<Vec<usize>>> {
        let count = self.batches_per_epoch(samples)?;
        let mut rows: Vec<usize> = (0..samples).collect();
        if self.shuffle {
            rows.shuffle(&mut generator(Purpose::Order, self.seed, epoch, 0));
        }
        Ok(rows.chunks(self.batch_size).take(count).map(|batch| self.part.select(batch)).collect())
    }

    /// Returns the number of batches of an epoch for a data set of `samples` samples, for example for a
    /// learning-rate schedule that counts updates.
    ///
    /// # Errors
    /// As [`batches`](Self::batches).
    pub fn batches_per_epoch(&self, samples: usize) -> Result<usize> {
        let Self { batch_size, last, part, .. } = *self;
        part.check()?;
        if part.smallest(batch_size) == 0 {
            let expected = format!("at least {}, one sample for each rank", part.ranks);
            return Err(error::out_of_range("batch size", expected, batch_size));
        }
        let rest = part.smallest(samples % batch_size);
        let is_kept = match last {
            LastBatch::Keep => rest > 0,
            LastBatch::DropSingle => rest > 1,
            LastBatch::Drop => false,
        };
        // With a batch size of 1 every batch has one sample, and none is a rest.
        match samples / batch_size + usize::from(is_kept) {
            0 if samples == 0 => {
                let (what, hint) = ("samples of an epoch", "check the data set");
                Err(error::config(what, "at least one", 0, hint))
            }
            0 => {
                let what = format!("batches of {batch_size} of {samples} samples");
                let found = format!("none, since the last batch is left out ({last:?})");
                let hint = "choose a smaller batch size, or `LastBatch::Keep`";
                Err(error::config(what, "at least one", found, hint))
            }
            count => Ok(count),
        }
    }
}
