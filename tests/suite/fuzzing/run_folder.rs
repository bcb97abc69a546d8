//! Run folders and tables with random changes.

use std::{fs, path::Path};

use g2d::{
    record::{Csv, JsonLines, Recorder, Run, RunFolder},
    report::{Report, Theme},
};
use proptest::prelude::*;

use super::mutation::{mutated, mutations};
use crate::{
    record::{at_epoch, epoch, metrics, recorded, recorded_steps},
    support::fuzz_config,
};

const FILES: [&str; 4] = ["run.json", "epochs.jsonl", "steps.jsonl", "result.json"];

/// The files of a valid run.
fn valid() -> &'static [Vec<u8>; 4] {
    static CONTENTS: std::sync::OnceLock<[Vec<u8>; 4]> = std::sync::OnceLock::new();
    CONTENTS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path(), "a run");
        recorded_steps(folder.path());
        FILES.map(|name| fs::read(folder.path().join(name)).unwrap())
    })
}

/// Writes a run whose file number `which` has the content `bytes`.
fn write(folder: &Path, which: usize, bytes: &[u8]) {
    for (i, name) in FILES.iter().enumerate() {
        let bytes = if i == which { bytes } else { &valid()[i] };
        fs::write(folder.join(name), bytes).unwrap();
    }
}

proptest! {
    #![proptest_config(fuzz_config(300))]

    #[test]
    fn a_mutated_run_folder_is_read_and_resumed_without_panic(
        which in 0..FILES.len(), mutations in mutations(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), which, &mutated(&valid()[which], &mutations));
        if let Ok(run) = Run::read(folder.path()) {
            let report = Report::new(vec![run.clone()]).unwrap();
            report.plots().iter().for_each(|plot| drop(plot.svg(Theme::Light)));
            let _ = Report::new(vec![run.clone(), run]).unwrap().html();
        }
        if let Ok(mut resumed) = RunFolder::resume(folder.path(), at_epoch(2)) {
            resumed.epoch(&epoch(2), &metrics(2)).unwrap();
        }
        let _ = JsonLines::resume(folder.path().join(FILES[which]), at_epoch(2));
    }

    #[test]
    fn a_mutated_csv_is_resumed_without_panic(mutations in mutations(), at in 0..6_u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.csv");
        let mut csv = Csv::create(&path).unwrap();
        (0..4).for_each(|e| csv.epoch(&epoch(e), &metrics(e)).unwrap());
        fs::write(&path, mutated(&fs::read(&path).unwrap(), &mutations)).unwrap();
        if let Ok(mut resumed) = Csv::resume(&path, at_epoch(at)) {
            let _ = resumed.epoch(&epoch(at), &metrics(at));
        }
    }
}
