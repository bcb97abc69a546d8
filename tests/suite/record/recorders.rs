//! Several recorders, and files that go on after a stop.

use std::fs;

use g2d::{
    EpochReport, Error, Result,
    record::{Csv, JsonLines, Recorder, Recorders},
};

use super::{epoch, metrics, outcome};
use crate::support::mismatch;

/// Fails in one epoch, as a full disk does.
struct Full {
    in_epoch: u64,
}

impl Recorder for Full {
    fn epoch(&mut self, report: &EpochReport, _metrics: &[(String, f64)]) -> Result<()> {
        assert!(report.epoch <= self.in_epoch, "a recorder that failed is asked no more");
        if report.epoch < self.in_epoch {
            return Ok(());
        }
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(Error::Io { doing: "write the file", path: "the/disk".into(), source })
    }
}

#[test]
fn a_failing_disk_stops_neither_the_training_nor_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.csv");
    let mut recorders = Recorders::new()
        .with(Full { in_epoch: 1 })
        .with(Csv::create(&path).unwrap())
        .with(Full { in_epoch: 2 });
    for e in 0..4 {
        recorders.epoch(&epoch(e), &metrics(e));
        assert_eq!(recorders.failures().len(), (e as usize).min(2), "after epoch {e}");
    }
    recorders.finish(&outcome());
    assert!(recorders.failures()[0].to_string().contains("the/disk"));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5, "header and four rows");
}

#[test]
fn rows_are_in_the_file_when_epoch_returns() {
    let folder = tempfile::tempdir().unwrap();
    let [csv, jsonl] = ["a.csv", "a.jsonl"].map(|name| folder.path().join(name));
    let mut recorders =
        Recorders::new().with(Csv::create(&csv).unwrap()).with(JsonLines::create(&jsonl).unwrap());
    recorders.epoch(&epoch(0), &metrics(0));
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 2);
    assert!(fs::read_to_string(&jsonl).unwrap().ends_with("}\n"));
}

#[test]
fn a_resumed_csv_is_that_of_a_run_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, stopped] = ["whole.csv", "stopped.csv"].map(|name| folder.path().join(name));
    let write = |csv: &mut Csv, epochs: std::ops::Range<u64>| {
        epochs.for_each(|e| csv.epoch(&epoch(e), &metrics(e)).unwrap());
    };
    write(&mut Csv::create(&whole).unwrap(), 0..4);
    write(&mut Csv::create(&stopped).unwrap(), 0..3);
    let text = fs::read_to_string(&stopped).unwrap();
    fs::write(&stopped, format!("{text}3,3,0.5")).unwrap(); // cut by a crash
    write(&mut Csv::resume(&stopped, 2).unwrap(), 2..4);
    assert_eq!(fs::read_to_string(&stopped).unwrap(), fs::read_to_string(&whole).unwrap());

    let kept: Vec<&str> = text.lines().take(3).collect();
    let cut = kept.join("\n") + "\n2,3,0.5"; // of an epoch to keep
    fs::write(&stopped, cut).unwrap();
    drop(Csv::resume(&stopped, 3).unwrap());
    assert_eq!(fs::read_to_string(&stopped).unwrap(), kept.join("\n") + "\n");

    let new = folder.path().join("new.csv");
    write(&mut Csv::resume(&new, 0).unwrap(), 0..4);
    assert_eq!(fs::read_to_string(&new).unwrap(), fs::read_to_string(&whole).unwrap());
}

#[test]
fn a_foreign_file_is_not_resumed_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign");
    let text = "name,age\nAda,36\n";
    fs::write(&path, text).unwrap();
    mismatch(Csv::resume(&path, 1), &["foreign", "line 1", "name,age"]);
    mismatch(JsonLines::resume(&path, 1), &["foreign", "line 1"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
