//! How valid text is spoilt.

use proptest::{collection::vec, prelude::*, sample::Index};

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    Set(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// Copies a stretch to another place.
    Copy(Index, Index, usize),
    /// Another word in place of the n-th number or name.
    Word(Index, &'static str),
}

/// What a stranger might write where a number or a name stands.
const WORDS: [&str; 34] = [
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "7",
    "0.5",
    "-0.5",
    "1e-320",
    "1e308",
    "-1e308",
    "1e999",
    "nan",
    "inf",
    "-inf",
    "null",
    "true",
    "\"NaN\"",
    "\"inf\"",
    "\"\"",
    "\"1\"",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "4294967296",
    "[]",
    "{}",
    "[1, 1]",
    "[[[[[[[[]]]]]]]]",
    "{ first = 3, last = 1 }",
    "\"µ\\u0000\"",
    "joint",
    "fixed",
];

impl Change {
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
            Self::Word(which, word) => {
                let words = words(bytes);
                if !words.is_empty() {
                    let (start, end) = words[which.index(words.len())];
                    bytes.splice(start..end, word.bytes());
                }
            }
        }
    }
}

/// Where numbers and names stand.
fn words(bytes: &[u8]) -> Vec<(usize, usize)> {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"_.-+".contains(&b);
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (i, &byte) in bytes.iter().enumerate() {
        match found.last_mut() {
            Some((_, end)) if *end == i && inside(byte) => *end = i + 1,
            _ if inside(byte) => found.push((i, i + 1)),
            _ => {}
        }
    }
    found
}

pub fn changes() -> impl Strategy<Value = Vec<Change>> {
    let index = any::<Index>;
    let change = prop_oneof![
        1 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        1 => index().prop_map(Change::Cut),
        1 => (index(), vec(any::<u8>(), 1..6)).prop_map(|(at, new)| Change::Insert(at, new)),
        1 => (index(), 1..30_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (index(), index(), 1..60_usize).prop_map(|(from, to, n)| Change::Copy(from, to, n)),
        5 => (index(), 0..WORDS.len()).prop_map(|(at, word)| Change::Word(at, WORDS[word])),
    ];
    vec(change, 0..4)
}
