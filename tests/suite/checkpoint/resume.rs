//! Resuming a stopped run.

use g2d::checkpoint::{Snapshot, SnapshotFolder};
use tch::{Kind, Tensor};

use super::{EPOCHS, Loop, Run, STEPS, Setting};
use crate::support::{assert_same, in_own_process, values};

const ALL: [Setting; 4] = [Setting::PreviousEpoch, Setting::Cached, Setting::Noise, Setting::Half];

#[test]
fn a_run_stopped_at_any_step_resumes_bit_by_bit() {
    for setting in ALL {
        let (mut whole, mut own) = (Run::new(setting), Loop::default());
        let expected = whole.train(&mut own, None, None);
        let every = if matches!(setting, Setting::PreviousEpoch) { 1 } else { 5 };
        for stop in (0..=EPOCHS * STEPS).step_by(every) {
            let folder = tempfile::tempdir().unwrap();
            let (mut first, mut before) = (Run::new(setting), Loop::default());
            let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
            let mut found = first.train(&mut before, Some(stop), Some(&mut checkpoints));
            drop((first, checkpoints));

            let mut second = Run::new(setting);
            let checkpoints = SnapshotFolder::open(folder.path()).unwrap();
            let resumed: Option<Loop> = checkpoints.resume(&mut second.parts()).unwrap();
            assert_eq!(resumed.is_some(), stop > 0);
            let mut after = resumed.unwrap_or_default();
            assert_eq!(after, before);
            found.extend(second.train(&mut after, None, None));
            assert_eq!(found, expected, "{setting:?} stopped at {stop}");
            assert_eq!(after, own, "{setting:?} stopped at {stop}");
            assert_same(&values(&second.student.vs), &values(&whole.student.vs));
        }
    }
}

#[test]
fn a_snapshot_restores_the_random_number_generator() {
    if !in_own_process("checkpoint::resume::a_snapshot_restores_the_random_number_generator") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(Setting::PreviousEpoch);
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    let draw = || Tensor::rand([4], (Kind::Double, tch::Device::Cpu));
    checkpoints.save(&mut run.parts(), &Loop::default(), None).unwrap();
    let expected = draw();
    assert!(!draw().equal(&expected));
    let _: Loop = checkpoints.latest().unwrap().load(&mut run.parts()).unwrap();
    assert!(draw().equal(&expected), "the generator's state is not restored");
}

#[test]
fn the_weights_of_the_best_snapshot_load_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(Setting::Cached);
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    run.train(&mut Loop::default(), None, Some(&mut checkpoints));
    let best: &Snapshot = checkpoints.best().unwrap();
    assert_eq!(best.score(), Some(EPOCHS as f64 - 1.0));
    let other = Run::new(Setting::Cached);
    best.load_weights("student", &other.student.vs).unwrap();
    assert_same(&values(&run.student.vs), &values(&other.student.vs));
    assert_eq!(other.trainer.progress().total_steps, 0);
    let wrong = best.load_weights("teacher", &other.student.vs);
    crate::support::assert_mismatch(wrong, &["teacher.weights.safetensors", "student.weights"]);
}
