//! Independent random generators.

use rand::{SeedableRng, rngs::StdRng};

/// What a generator is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// Shuffling the samples of an epoch.
    Order = 1,
    /// Augmenting one sample.
    Sample = 2,
}

/// A generator whose stream depends on all of these.
pub(super) fn generator(purpose: Purpose, seed: u64, epoch: u64, id: i64) -> StdRng {
    let mut bytes = [0; 32];
    let words = [seed, epoch, id as u64, purpose as u64];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    StdRng::from_seed(bytes)
}
