//! Manifests of snapshots with random changes: reading never panics, and succeeds for the valid
//! manifest alone.

use std::{fs, sync::OnceLock};

use g2d::{
    Result,
    checkpoint::{Snapshot, SnapshotFolder},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::mutation::{mutated, mutations};
use crate::{
    checkpoint::{Loop, Run, Setting},
    support::{assert_error, fuzz_config},
};

/// The text of a valid manifest.
fn valid() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut run = Run::new(Setting::PreviousEpoch);
        run.train(&mut Loop::default(), Some(5), None);
        let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
        let snapshot = checkpoints.save(&mut run.parts(), &Loop::default(), Some(0.5)).unwrap();
        fs::read_to_string(snapshot.path().join("manifest.json")).unwrap()
    })
}

fn open(manifest: &[u8]) -> Result<Snapshot> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("manifest.json"), manifest).unwrap();
    Snapshot::open(folder.path())
}

#[test]
fn a_valid_manifest_is_read() {
    let snapshot = open(valid().as_bytes()).unwrap();
    assert_eq!((snapshot.score(), snapshot.progress().total_steps), (Some(0.5), 5));
}

#[test]
fn another_format_a_newer_version_and_a_changed_value_are_errors() {
    for (from, to, words) in [
        ("\"version\": 1", "\"version\": 2", ["at most 1", "found 2"]),
        ("g2d checkpoint", "a checkpoint", ["format", "a checkpoint"]),
        ("\"score\": 0.5", "\"score\": 0.6", ["manifest", "checksum"]),
        ("  \"score\"", " \"score\"", ["manifest", "checksum"]),
        ("\"score\"", "\"scores\"", ["manifest", "scores"]),
    ] {
        assert!(valid().contains(from));
        assert_error(open(valid().replacen(from, to, 1).as_bytes()), &words);
    }
}

proptest! {
    #![proptest_config(fuzz_config(1_000))]

    #[test]
    fn random_bytes_are_no_manifest(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(open(&bytes).is_err());
    }

    #[test]
    fn a_mutated_manifest_is_read_only_if_it_equals_the_valid_one(mutations in mutations()) {
        let bytes = mutated(valid().as_bytes(), &mutations);
        prop_assert_eq!(open(&bytes).is_ok(), bytes == valid().as_bytes());
    }

    #[test]
    fn a_manifest_with_a_random_value_is_invalid(
        value in "-?[0-9]{1,30}|\"[^\"\\\\]{0,9}\"|\\[\\]|\\{\\}|null|1e999", at in any::<Index>(),
    ) {
        let values: Vec<_> = valid().match_indices(": ").map(|(i, _)| i + 2).collect();
        let at = values[at.index(values.len())];
        let end = at + valid()[at..].find(['\n', ',', '}']).unwrap();
        let text = format!("{}{value}{}", &valid()[..at], &valid()[end..]);
        prop_assert!(text == valid() || open(text.as_bytes()).is_err());
    }
}
