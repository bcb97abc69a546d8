//! A run folder whose files are not what a recorder wrote.

use std::{fs, path::Path};

use g2d::{
    record::{Csv, JsonLines, Recorder, Run, RunFolder},
    report::{Report, Theme},
};
use proptest::prelude::*;

use super::mutation::changes;
use crate::{
    record::{epoch, metrics, recorded},
    support::fuzz,
};

const FILES: [&str; 3] = ["run.json", "epochs.jsonl", "result.json"];

/// The files of a valid run.
fn valid() -> &'static [Vec<u8>; 3] {
    static FILES_OF: std::sync::OnceLock<[Vec<u8>; 3]> = std::sync::OnceLock::new();
    FILES_OF.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        recorded(folder.path(), "a run");
        FILES.map(|name| fs::read(folder.path().join(name)).unwrap())
    })
}

fn write(folder: &Path, which: usize, bytes: &[u8]) {
    for (i, name) in FILES.iter().enumerate() {
        let bytes = if i == which { bytes } else { &valid()[i] };
        fs::write(folder.join(name), bytes).unwrap();
    }
}

proptest! {
    #![proptest_config(fuzz(300))]

    #[test]
    fn run_folders(which in 0..FILES.len(), changes in changes()) {
        let mut bytes = valid()[which].clone();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), which, &bytes);
        if let Ok(run) = Run::read(folder.path()) {
            let report = Report::new(vec![run.clone()]).unwrap();
            report.plots().iter().for_each(|plot| drop(plot.svg(Theme::Light)));
            let _ = Report::new(vec![run.clone(), run]).unwrap().html();
        }
        if let Ok(mut resumed) = RunFolder::resume(folder.path(), 2) {
            resumed.epoch(&epoch(2), &metrics(2)).unwrap();
        }
        let _ = JsonLines::resume(folder.path().join(FILES[which]), 2);
    }

    #[test]
    fn tables(changes in changes(), at in 0..6_u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.csv");
        let mut csv = Csv::create(&path).unwrap();
        (0..4).for_each(|e| csv.epoch(&epoch(e), &metrics(e)).unwrap());
        let mut bytes = fs::read(&path).unwrap();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        fs::write(&path, &bytes).unwrap();
        if let Ok(mut resumed) = Csv::resume(&path, at) {
            let _ = resumed.epoch(&epoch(at), &metrics(at));
        }
    }
}
