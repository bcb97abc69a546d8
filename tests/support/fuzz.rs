//! How many cases a property is tried on, and how bytes are spoilt.

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::Config};

/// `cases`, or as many as `G2D_FUZZ_CASES` says.
pub fn fuzz(cases: u32) -> Config {
    let asked = std::env::var("G2D_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { failure_persistence: None, ..Config::with_cases(asked.unwrap_or(cases)) }
}

/// One change of a file's bytes.
#[derive(Debug, Clone)]
pub enum Spoil {
    Set(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Copies a stretch to another place.
    Copy(Index, Index, usize),
}

impl Spoil {
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Cut(at) => bytes.truncate(at.index(length)),
            Self::Insert(at, new) => {
                let at = at.index(length);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Self::Copy(from, to, count) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = bytes[from..(from + count).min(length)].to_vec();
                bytes.splice(to..to, part);
            }
        }
    }
}

pub fn spoil() -> impl Strategy<Value = Spoil> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| Spoil::Set(at, byte)),
        index().prop_map(Spoil::Cut),
        (index(), vec(any::<u8>(), 1..9)).prop_map(|(at, new)| Spoil::Insert(at, new)),
        (index(), 1..99_usize).prop_map(|(at, count)| Spoil::Remove(at, count)),
        (index(), index(), 1..99_usize).prop_map(|(from, to, n)| Spoil::Copy(from, to, n)),
    ]
}
