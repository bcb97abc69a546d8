//! The part of each batch that one rank of a group reads.

use std::ops::Range;

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

    /// The rows of this rank, of `rows` rows: for an evaluation that is divided among the ranks, each row once.
    ///
    /// # Panics
    /// If the number of ranks is 0.
    pub fn rows(self, rows: usize) -> Range<usize> {
        let border = |rank: usize| rows * rank / self.ranks;
        border(self.rank)..border(self.rank + 1)
    }

    /// The rows of this rank in a batch.
    pub(super) fn select(self, batch: &[usize]) -> Vec<usize> {
        batch[self.rows(batch.len())].to_vec()
    }

    /// The smallest number of rows that a rank has of `rows` rows.
    pub(super) fn smallest(self, rows: usize) -> usize {
        rows / self.ranks
    }
}
