//! Independent random generators.

use rand::{SeedableRng, rngs::StdRng};

/// A generator whose stream depends on all of `words`, such as a seed and a sample's id.
pub(crate) fn generator(words: [u64; 4]) -> StdRng {
    let mut seed = [0; 32];
    for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    StdRng::from_seed(seed)
}
