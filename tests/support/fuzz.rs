//! The number of cases of a property test, and random changes of bytes.

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::Config};

/// A configuration of `cases` cases, or of as many as the variable `G2D_FUZZ_CASES` states.
pub fn fuzz_config(cases: u32) -> Config {
    let variable = std::env::var("G2D_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { failure_persistence: None, ..Config::with_cases(variable.unwrap_or(cases)) }
}

/// One change of a file's bytes.
#[derive(Debug, Clone)]
pub enum ByteMutation {
    Set(Index, u8),
    Truncate(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Copies a range to another place.
    Copy(Index, Index, usize),
}

impl ByteMutation {
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Set(at, byte) => bytes[at.index(length)] = *byte,
            Self::Truncate(at) => bytes.truncate(at.index(length)),
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

pub fn byte_mutation() -> impl Strategy<Value = ByteMutation> {
    let index = any::<Index>;
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, byte)| ByteMutation::Set(at, byte)),
        index().prop_map(ByteMutation::Truncate),
        (index(), vec(any::<u8>(), 1..9)).prop_map(|(at, new)| ByteMutation::Insert(at, new)),
        (index(), 1..99_usize).prop_map(|(at, count)| ByteMutation::Remove(at, count)),
        (index(), index(), 1..99_usize).prop_map(|(from, to, n)| ByteMutation::Copy(from, to, n)),
    ]
}
