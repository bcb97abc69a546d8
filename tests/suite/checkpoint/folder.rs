//! Which snapshots are kept; crashes and full disks.

use std::{fs, path::Path, process::Command};

use g2d::{
    Error,
    checkpoint::{Best, SnapshotFolder},
};

use super::{Loop, Run, Setting};
use crate::support::assert_error;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_last_snapshots_and_the_best_one_are_kept() {
    for (best, scores, kept) in [
        (Best::Highest, [1.0, 5.0, 2.0, 5.0, 3.0, 1.0], [1, 4, 5]),
        (Best::Lowest, [4.0, 5.0, 0.5, 5.0, 3.0, 1.0], [2, 4, 5]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let open = || SnapshotFolder::open(folder.path()).unwrap().keep_last(2).best_is(best);
        let mut run = Run::new(Setting::Noise);
        let mut checkpoints = open();
        for (i, score) in scores.into_iter().enumerate() {
            checkpoints.save(&mut run.parts(), &Loop::default(), Some(score)).unwrap();
            if i == 2 {
                checkpoints = open(); // numbers continue after those in the folder
            }
        }
        let expected = kept.map(|n| format!("snapshot-{n:06}"));
        assert_eq!(names(folder.path()), expected);
        let reopened = open();
        assert_eq!(reopened.snapshots(), checkpoints.snapshots());
        assert!(reopened.best().unwrap().path().ends_with(&expected[0]));
        assert!(reopened.latest().unwrap().path().ends_with(&expected[2]));
    }
}

#[test]
fn an_unfinished_snapshot_is_removed_and_other_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let unfinished = folder.path().join(".snapshot-000007.99.0.part");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("student.weights.safetensors"), b"half").unwrap();
    fs::write(folder.path().join("notes.txt"), b"mine").unwrap();
    fs::create_dir(folder.path().join("snapshot-mine")).unwrap();
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    assert!(checkpoints.latest().is_none());
    let mut run = Run::new(Setting::Noise);
    assert!(checkpoints.resume::<Loop>(&mut run.parts()).unwrap().is_none());
    checkpoints.save(&mut run.parts(), &Loop::default(), None).unwrap();
    assert_eq!(names(folder.path()), ["notes.txt", "snapshot-000000", "snapshot-mine"]);
}

/// On a file system of 256 KiB.
#[test]
fn a_snapshot_that_fails_on_a_full_disk_leaves_the_folder_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "g2d-test"])
        .arg(folder.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        crate::support::skipped("a full disk: no permission to mount a tmpfs");
        return;
    }
    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0).status();
        }
    }
    let mounted = Mounted(folder.path());
    let mut checkpoints = SnapshotFolder::open(mounted.0).unwrap();
    let (mut run, mut own) = (Run::new(Setting::PreviousEpoch), Loop::default());
    run.train(&mut own, Some(3), Some(&mut checkpoints));
    let before = names(mounted.0);
    let mut failures = 0;
    // The free space, in KiB, grows from none to just enough, so that each file in turn does not
    // fit.
    for free in (0..64).step_by(4) {
        fs::write(mounted.0.join("ballast"), vec![0; 300 << 10]).unwrap_err();
        let full = fs::metadata(mounted.0.join("ballast")).unwrap().len();
        let ballast = fs::File::options().write(true).open(mounted.0.join("ballast")).unwrap();
        ballast.set_len(full.saturating_sub(free << 10)).unwrap();
        match checkpoints.save(&mut run.parts(), &own, None) {
            Err(error) => {
                assert!(matches!(assert_error::<()>(Err(error), &["No space"]), Error::Io { .. }));
                fs::remove_file(mounted.0.join("ballast")).unwrap();
                assert_eq!(names(mounted.0), before, "with {free} KiB free");
                failures += 1;
            }
            Ok(_) => break,
        }
    }
    assert!(failures > 3, "only {failures} snapshots failed");
    let _ = fs::remove_file(mounted.0.join("ballast"));
    let mut other = Run::new(Setting::PreviousEpoch);
    let reopened = SnapshotFolder::open(mounted.0).unwrap();
    assert_eq!(reopened.resume::<Loop>(&mut other.parts()).unwrap(), Some(own.clone()));
    run.train(&mut own, None, Some(&mut checkpoints)); // works with free space again
}
