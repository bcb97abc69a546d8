//! Several recorders, and resumed files.

use std::fs;

use g2d::{
    EpochReport, Error, Result,
    record::{Csv, JsonLines, Recorder, Recorders},
};

use super::{at_epoch, epoch, metrics, outcome};
use crate::support::assert_mismatch;

/// A recorder whose disk is full from an epoch on.
struct FullDisk {
    in_epoch: u64,
}

impl Recorder for FullDisk {
    fn epoch(&mut self, report: &EpochReport, _metrics: &[(String, f64)]) -> Result<()> {
        assert!(report.epoch <= self.in_epoch, "a failed recorder is not called again");
        if report.epoch < self.in_epoch {
            return Ok(());
        }
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(Error::Io { doing: "write the file", path: "the/disk".into(), source })
    }
}

#[test]
fn a_failing_recorder_stops_neither_the_training_nor_other_recorders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.csv");
    let mut recorders = Recorders::new()
        .with(FullDisk { in_epoch: 1 })
        .with(Csv::create(&path).unwrap())
        .with(FullDisk { in_epoch: 2 });
    for e in 0..4 {
        recorders.epoch(&epoch(e), &metrics(e));
        assert_eq!(recorders.failures().len(), (e as usize).min(2), "after epoch {e}");
    }
    recorders.finish(&outcome());
    assert!(recorders.failures()[0].to_string().contains("the/disk"));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5, "header and four rows");
}

#[test]
fn rows_are_in_the_files_when_epoch_returns() {
    let folder = tempfile::tempdir().unwrap();
    let [csv, jsonl] = ["a.csv", "a.jsonl"].map(|name| folder.path().join(name));
    let mut recorders =
        Recorders::new().with(Csv::create(&csv).unwrap()).with(JsonLines::create(&jsonl).unwrap());
    recorders.epoch(&epoch(0), &metrics(0));
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 2);
    assert!(fs::read_to_string(&jsonl).unwrap().ends_with("}\n"));
}

#[test]
fn a_resumed_csv_equals_that_of_an_uninterrupted_run() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole.csv", "stopped.csv"].map(|name| folder.path().join(name));
    let write = |csv: &mut Csv, epochs: std::ops::Range<u64>| {
        epochs.for_each(|e| csv.epoch(&epoch(e), &metrics(e)).unwrap());
    };
    write(&mut Csv::create(&whole).unwrap(), 0..4);
    write(&mut Csv::create(&stopped).unwrap(), 0..3);
    let text = fs::read_to_string(&stopped).unwrap();
    fs::write(&stopped, format!("{text}3,3,0.5")).unwrap(); // truncated by a crash
    write(&mut Csv::resume(&stopped, at_epoch(2)).unwrap(), 2..4);
    assert_eq!(fs::read_to_string(&stopped).unwrap(), fs::read_to_string(&whole).unwrap());

    let kept: Vec<&str> = text.lines().take(3).collect();
    let truncated = kept.join("\n") + "\n2,3,0.5"; // the row of an epoch to keep
    fs::write(&stopped, truncated).unwrap();
    drop(Csv::resume(&stopped, at_epoch(3)).unwrap());
    assert_eq!(fs::read_to_string(&stopped).unwrap(), kept.join("\n") + "\n");

    let new = folder.path().join("new.csv");
    write(&mut Csv::resume(&new, at_epoch(0)).unwrap(), 0..4);
    assert_eq!(fs::read_to_string(&new).unwrap(), fs::read_to_string(&whole).unwrap());
}

#[test]
fn a_file_of_another_program_is_not_resumed_and_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("people.csv");
    let text = "name,age\nAda,36\n";
    fs::write(&path, text).unwrap();
    assert_mismatch(Csv::resume(&path, at_epoch(1)), &["people.csv", "line 1", "name,age"]);
    assert_mismatch(JsonLines::resume(&path, at_epoch(1)), &["people.csv", "line 1"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
