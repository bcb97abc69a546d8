//! Files of weights with random changes, and random bytes: loading never panics, and a refused file
//! changes no variable.

use std::fs;

use g2d::weights;
use proptest::{collection::vec, prelude::*};
use tch::{Device, nn, nn::VarStore};

use crate::support::{assert_same, byte_mutation, fuzz_config, values};

fn store() -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    nn::linear(vs.root() / "fc", 3, 2, Default::default());
    let _ = vs.root().zeros("none", &[0, 2]);
    vs
}

/// Loads these bytes.
fn load(bytes: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    fs::write(&path, bytes).unwrap();
    let mut vs = store();
    let before = values(&vs);
    if weights::load(&mut vs, &path).is_err() {
        assert_same(&values(&vs), &before);
    }
}

fn valid() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    weights::save(&store(), &path).unwrap();
    fs::read(path).unwrap()
}

proptest! {
    #![proptest_config(fuzz_config(400))]

    #[test]
    fn a_changed_file_causes_no_panic(mutations in vec(byte_mutation(), 1..4)) {
        let mut bytes = valid();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        load(&bytes);
    }

    #[test]
    fn a_changed_header_causes_no_panic(mutations in vec(byte_mutation(), 1..4)) {
        let bytes = valid();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut header = bytes[8..8 + length].to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut header));
        let length = (header.len() as u64).to_le_bytes();
        load(&[&length, &header[..], &bytes[bytes.len() - 32..]].concat());
    }

    #[test]
    fn random_bytes_cause_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        load(&bytes);
    }
}
