//! Random changes of valid text.

use proptest::{collection::vec, prelude::*, sample::Index};

use crate::support::{ByteMutation, byte_mutation};

#[derive(Debug, Clone)]
pub enum Mutation {
    Bytes(ByteMutation),
    /// Replaces a number or name.
    Word(Index, &'static str),
}

/// Replacements of numbers and names.
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

impl Mutation {
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes(mutation) => mutation.apply(bytes),
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

/// The ranges of numbers and names.
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

/// Up to three mutations.
pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let word = (any::<Index>(), 0..WORDS.len());
    let mutation = prop_oneof![
        byte_mutation().prop_map(Mutation::Bytes),
        word.prop_map(|(at, word)| Mutation::Word(at, WORDS[word])),
    ];
    vec(mutation, 0..4)
}

/// `valid` with all mutations.
pub fn mutated(valid: &[u8], mutations: &[Mutation]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
    bytes
}
