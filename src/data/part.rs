//! The part of each batch that one rank of a group reads.

use crate::error::{self, Result};

/// The part of each batch that one rank of a group reads: of n rows those from n · rank / ranks to
/// n · (rank + 1) / ranks. All ranks together read the batches that one process would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The number of the rank, from 0.
    pub rank: usize,
    /// The number of ranks.
    pub ranks: usize,
}

impl Default for Part {
    /// The whole batch.
    fn default() -> Self {
        Self { rank: 0, ranks: 1 }
    }
}

impl Part {
    pub(super) fn check(self) -> Result<()> {
        if self.rank < self.ranks {
            return Ok(());
        }
        let expected = format!("a rank below {}, the number of ranks", self.ranks);
        Err(error::out_of_range("part of a batch", expected, self.rank))
    }

    /// The rows of this rank.
    pub(super) fn select(self, batch: &[usize]) -> Vec<usize> {
        let border = |rank: usize| batch.len() * rank / self.ranks;
        batch[border(self.rank)..border(self.rank + 1)].to_vec()
    }

    /// The smallest number of rows that a rank has of `rows` rows.
    pub(super) fn smallest(self, rows: usize) -> usize {
        rows / self.ranks
    }
}
