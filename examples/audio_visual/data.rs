//! The three splits that all trainings see.

use std::{fmt, path::Path};

use anyhow::Result;
use g2d::paper::data::{AvMnist, InMemory};
use rand::{SeedableRng, rngs::StdRng};

const EMBEDDED: &[u8] = include_bytes!("../data/spoken-digits/digits.npz");

pub struct Splits {
    pub name: String,
    pub train: InMemory,
    pub val: InMemory,
    pub test: InMemory,
}

impl Splits {
    /// The spoken digits that come with the example.
    pub fn embedded() -> Result<Self> {
        let set = AvMnist::from_npz_bytes("spoken-digits/digits.npz", EMBEDDED)?;
        Self::new("the embedded spoken digits", set, 0)
    }

    /// A folder in AV-MNIST's layout.
    pub fn from_folder(folder: &Path, seed: u64) -> Result<Self> {
        Self::new(&folder.display().to_string(), AvMnist::from_folder(folder)?, seed)
    }

    fn new(name: &str, set: AvMnist, seed: u64) -> Result<Self> {
        let (train, val) = match set.val {
            Some(val) => (set.train, val),
            None => set.train.hold_out(0.1, &mut StdRng::seed_from_u64(seed))?,
        };
        Ok(Self { name: name.to_owned(), train, val, test: set.test })
    }

    /// The first `n` samples of each split.
    pub fn first(self, n: usize) -> Result<Self> {
        let (train, val, test) = (self.train.first(n)?, self.val.first(n)?, self.test.first(n)?);
        Ok(Self { name: self.name, train, val, test })
    }

    /// A handle on the same samples for another thread.
    pub fn share(&self) -> Self {
        Self {
            name: self.name.clone(),
            train: self.train.share(),
            val: self.val.share(),
            test: self.test.share(),
        }
    }
}

impl fmt::Display for Splits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, train, val, test } = self;
        let (train, val, test) = (train.len(), val.len(), test.len());
        write!(f, "{name}: {train} training, {val} validation, {test} test samples")
    }
}
