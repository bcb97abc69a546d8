//! Cache files with random changes, and random bytes: reading never panics, and succeeds for valid
//! files alone.

use std::{fs, sync::OnceLock};

use g2d::{
    Result,
    teacher::cache::{self, Storage},
};
use proptest::{collection::vec, prelude::*};
use tch::Kind;

use crate::{
    support::{ByteMutation, Tiny, WIDTH, byte_mutation, fuzz_config},
    teacher::cache::{batches, file},
};

fn read(bytes: &[u8]) -> Result<cache::Header> {
    cache::Header::read(&mut &*bytes, bytes.len() as u64)
}

/// Two valid files.
fn valid() -> &'static [Vec<u8>; 2] {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache");
        let student = Tiny::with_widths(&[WIDTH, WIDTH], Kind::Float);
        [Storage::Full, Storage::Half].map(|storage| {
            let file = file(&path).storage(storage);
            file.record(&student.teacher(0, WIDTH).0, 0, batches(&student)).unwrap();
            fs::read(&path).unwrap()
        })
    })
}

#[derive(Debug, Clone)]
enum Mutation {
    Bytes(ByteMutation),
    /// Sets the length of the header.
    HeaderLength(u64),
    /// Replaces text of the header.
    HeaderText(&'static str, &'static str),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes(mutation) => mutation.apply(bytes),
            Self::HeaderLength(length) if bytes.len() >= 8 => {
                bytes[..8].copy_from_slice(&length.to_le_bytes());
            }
            Self::HeaderLength(_) => {}
            Self::HeaderText(old, new) => {
                let found = bytes.windows(old.len()).position(|window| window == old.as_bytes());
                if let Some(at) = found {
                    bytes.splice(at..at + old.len(), new.bytes());
                }
            }
        }
    }
}

/// Texts of a header and their replacements, of which some keep the length.
const TEXTS: [(&str, &str); 16] = [
    ("[7,4]", "[4,7]"),
    ("[7,4]", "[7,4,1]"),
    ("[7,4]", "[7,-4]"),
    ("[7,4]", "[7,9223372036854775807]"),
    ("[7,4]", "[]"),
    ("[7]", "[0]"),
    ("\"7\"", "\"8\""),
    ("\"F32\"", "\"I32\""),
    ("\"F32\"", "\"F64\""),
    ("\"F16\"", "\"BF16\""),
    ("\"half\"", "\"full\""),
    ("\"m0\"", "\"m1\""),
    ("\"m0\"", "{\"m0\":[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]}"),
    ("data_offsets", "data_offset"),
    ("\"version\":\"1\"", "\"version\":\"-1\""),
    ("\"version\":\"1\"", "\"version\":\"18446744073709551616\""),
];

fn mutation() -> impl Strategy<Value = Mutation> {
    let length = prop_oneof![any::<u64>(), 0..4096_u64, Just(u64::MAX - 7)];
    prop_oneof![
        5 => byte_mutation().prop_map(Mutation::Bytes),
        1 => length.prop_map(Mutation::HeaderLength),
        1 => (0..TEXTS.len()).prop_map(|at| Mutation::HeaderText(TEXTS[at].0, TEXTS[at].1)),
    ]
}

/// Well-formed JSON with the fields of a header and random shapes, offsets and sizes.
fn json() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<u64>().prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        (0..9_u64).prop_map(|n| n.to_string()),
        Just("1e999".to_owned()),
        Just("\"7\"".to_owned()),
    ];
    let list = |n| vec(number.clone(), n).prop_map(|numbers| format!("[{}]", numbers.join(",")));
    let dtype = prop_oneof![Just("F32"), Just("F16"), Just("I64"), Just("BOOL"), Just("X")];
    let part = (dtype, list(0..5), list(0..4)).prop_map(|(dtype, shape, offsets)| {
        format!("{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}")
    });
    let digest = "[0-9a-f]{64}";
    (vec(part, 4), digest, "[0-9]{1,20}", "\\PC{0,9}").prop_map(|(parts, digest, samples, text)| {
        let text = serde_json::to_string(&text).unwrap();
        format!(
            "{{\"__metadata__\":{{\"format\":\"g2d teacher cache\",\"version\":\"1\",\
             \"modality\":{text},\"weights\":\"{digest}\",\"data\":\"{digest}\",\
             \"storage\":\"full\",\"samples\":\"{samples}\",\"checksum\":\"{digest}\"}},\
             \"features\":{},\"logits\":{},\"targets\":{},\"ids\":{}}}",
            parts[0], parts[1], parts[2], parts[3]
        )
    })
}

proptest! {
    #![proptest_config(fuzz_config(2_000))]

    #[test]
    fn random_bytes_are_no_cache_file(bytes in vec(any::<u8>(), 0..600), length in any::<u64>()) {
        prop_assert!(read(&bytes).is_err());
        prop_assert!(cache::Header::read(&mut &*bytes, length).is_err());
    }

    #[test]
    fn a_mutated_file_is_read_only_if_it_equals_a_valid_one(
        which in 0..2_usize, mutations in vec(mutation(), 1..4),
    ) {
        let mut bytes = valid()[which].clone();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        prop_assert_eq!(read(&bytes).is_ok(), valid().contains(&bytes));
    }

    #[test]
    fn a_header_with_random_sizes_is_invalid(text in json(), payload in vec(any::<u8>(), 0..64)) {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.bytes());
        bytes.extend(payload);
        prop_assert!(read(&bytes).is_err());
    }
}
