//! How valid text is spoilt.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::support::{Spoil, spoil};

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    Bytes(Spoil),
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
        match self {
            Self::Bytes(spoil) => spoil.apply(bytes),
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
    let change = prop_oneof![
        5 => spoil().prop_map(Change::Bytes),
        5 => (any::<Index>(), 0..WORDS.len()).prop_map(|(at, word)| Change::Word(at, WORDS[word])),
    ];
    vec(change, 0..4)
}
