//! Runs that hold their parts, with snapshots and patience.

use g2d::{
    Error, G2dTrainer,
    checkpoint::{Best, Builder, ResumableRun},
    loss::Classification,
    optim::{AdamConfig, LrSchedule, Optimizer, SgdConfig},
    step::StepValues,
};

use super::{EPOCHS, Loop, Run, STEPS, Setting, batch, mark, marked};
use crate::support::{Tiny, assert_config_error, assert_mismatch, assert_same, values};

/// The builder of a run with the parts of `setting`, and its student.
fn builder(folder: &tempfile::TempDir, setting: Setting) -> (Builder, Tiny) {
    let Run { student, trainer, optimizer } = Run::new(setting);
    let builder = ResumableRun::builder(folder.path(), trainer, optimizer);
    (builder.weights("student", &student.vs), student)
}

/// Trains to the end, or until the run has made `stop` steps in all; returns the values of the steps.
fn train(run: &mut ResumableRun<Loop>, student: &Tiny, stop: Option<u64>) -> Vec<StepValues> {
    let mut steps = Vec::new();
    let schedule = LrSchedule::step(1, 0.5);
    for epoch in run.epochs(EPOCHS) {
        run.optimizer.set_lr_factor(schedule.factor(epoch)).unwrap();
        for step in (0..STEPS).skip(run.batches_done()) {
            if Some(run.trainer.progress().total_steps) == stop {
                return steps;
            }
            run.optimizer.zero_grad().unwrap();
            let report =
                run.trainer.step(student, &batch(student, (step + epoch) % STEPS)).unwrap();
            run.optimizer.step().unwrap();
            let values = report.read().unwrap();
            run.state.sum += values.terms.total;
            steps.push(values);
            run.save_if_due(&report).unwrap();
        }
        run.state.epochs.push(run.trainer.end_epoch().unwrap());
        run.save(epoch as f64).unwrap();
    }
    steps
}

#[test]
fn a_run_with_its_parts_given_once_resumes_bit_by_bit() {
    for setting in [Setting::PreviousEpoch, Setting::Cached] {
        let whole_folder = tempfile::tempdir().unwrap();
        let (whole, expected_student) = builder(&whole_folder, setting);
        let mut whole = whole.resume(Loop::default()).unwrap();
        let expected = train(&mut whole, &expected_student, None);
        for stop in [2, 5, 8] {
            let folder = tempfile::tempdir().unwrap();
            let (first, student) = builder(&folder, setting);
            let mut first = first.every(1).resume(Loop::default()).unwrap();
            let mut found = train(&mut first, &student, Some(stop));
            drop(first);
            let (second, student) = builder(&folder, setting);
            let mut second = second.every(1).resume(Loop::default()).unwrap();
            assert_eq!(second.trainer.progress().total_steps, stop);
            found.extend(train(&mut second, &student, None));
            assert_eq!(found, expected, "{setting:?} stopped at {stop}");
            assert_eq!(second.state, whole.state);
            assert_same(&values(&student.vs), &values(&expected_student.vs));
        }
    }
}

/// A trainer whose windows have two micro-batches.
fn accumulating(student: &Tiny) -> G2dTrainer {
    student.builder(Classification::default()).accumulate(2).build(student).unwrap()
}

#[test]
fn snapshots_within_an_epoch_are_due_at_the_interval_and_at_the_end_of_windows() {
    let saved_at = |accumulate: bool, every: Option<u64>| {
        let folder = tempfile::tempdir().unwrap();
        let student = Tiny::linear(2);
        let trainer = match accumulate {
            true => accumulating(&student),
            false => student.builder(Classification::default()).build(&student).unwrap(),
        };
        let mut builder =
            ResumableRun::builder(folder.path(), trainer, ()).weights("student", &student.vs);
        if let Some(steps) = every {
            builder = builder.every(steps);
        }
        let mut run = builder.resume(()).unwrap();
        let saves = |_| {
            let report = run.trainer.step(&student, &student.batch(4, 0.0)).unwrap();
            let saved = run.save_if_due(&report).unwrap();
            saved.then(|| run.snapshots().latest().unwrap().progress().total_steps)
        };
        (0..8).filter_map(saves).collect::<Vec<_>>()
    };
    assert_eq!(saved_at(false, Some(3)), [3, 6]);
    assert_eq!(saved_at(true, Some(3)), [4, 6], "step 3 is within a window");
    assert!(saved_at(false, None).is_empty());
}

/// Trains an epoch of one step per score, until the run ends.
fn train_scores(run: &mut ResumableRun<u64, ()>, student: &Tiny, scores: &[f64]) {
    for epoch in run.epochs(scores.len() as u64) {
        run.trainer.step(student, &student.batch(4, epoch as f64)).unwrap();
        mark(student, epoch as f64);
        run.trainer.end_epoch().unwrap();
        run.state += 1;
        run.save(scores[epoch as usize]).unwrap();
        if run.is_exhausted() {
            break;
        }
    }
}

#[test]
fn a_run_ends_after_its_patience_also_when_it_is_resumed() {
    let scores = [0.5, 0.75, 0.75, 0.25, 0.875, 0.5, 0.5, 0.5, 1.0, 1.0];
    for (best_is, sign) in [(Best::Highest, 1.0), (Best::Lowest, -1.0)] {
        let scores = scores.map(|score| sign * score);
        for resumed_after in [None, Some(3), Some(6)] {
            let folder = tempfile::tempdir().unwrap();
            let start = || {
                let student = Tiny::linear(2);
                let trainer = student.builder(Classification::default()).build(&student).unwrap();
                let builder = ResumableRun::builder(folder.path(), trainer, ());
                let builder = builder.weights("student", &student.vs).best_is(best_is).patience(3);
                (builder.keep_last(1).resume(0).unwrap(), student)
            };
            if let Some(epochs) = resumed_after {
                let (mut run, student) = start();
                train_scores(&mut run, &student, &scores[..epochs]);
                assert_eq!(run.state, epochs as u64);
            }
            let (mut run, student) = start();
            train_scores(&mut run, &student, &scores);
            assert_eq!(run.state, 8, "three epochs without a better score after the fifth");
            assert!(run.epochs(100).is_empty(), "an exhausted run trains no epoch");
            assert_eq!(run.best_epoch(), Some(5));
            assert_eq!(run.restore_best().unwrap(), sign * 0.875);
            assert_eq!(marked(&student), 4.0, "the weights of the fifth epoch");
            let (again, _) = start();
            assert!(again.epochs(100).is_empty(), "also when it is resumed");
        }
    }
}

#[test]
fn a_run_without_patience_is_never_exhausted_and_without_scores_has_no_best_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (builder, _student) = builder(&folder, Setting::Noise);
    let mut run = builder.resume(Loop::default()).unwrap();
    assert_eq!(run.epochs(7), 0..7);
    run.save(None).unwrap();
    assert!(!run.is_exhausted());
    assert_eq!(run.best_epoch(), None);
    assert_config_error(run.restore_best(), &["best snapshot", "one with a score", "`save`"]);
}

#[test]
fn the_best_weights_are_kept_in_memory_while_the_disk_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoints");
    let student = Tiny::linear(2);
    let trainer = student.builder(Classification::default()).build(&student).unwrap();
    let builder = ResumableRun::builder(&path, trainer, ()).weights("student", &student.vs);
    let mut run = builder.patience(2).resume(()).unwrap();
    let epoch = |run: &mut ResumableRun<(), ()>, score: f64| {
        mark(&student, 10.0 * score);
        run.trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        run.trainer.end_epoch().unwrap();
        run.save(score)
    };
    epoch(&mut run, 0.5).unwrap();
    std::fs::rename(&path, folder.path().join("moved")).unwrap();
    std::fs::write(&path, "a file in place of the folder").unwrap();
    for score in [0.75, 0.75, 0.25] {
        assert!(matches!(epoch(&mut run, score).unwrap_err(), Error::Io { .. }));
    }
    assert!(run.is_exhausted(), "two epochs without a better score");
    assert_eq!(run.best_epoch(), Some(2));
    assert_eq!(run.restore_best().unwrap(), 0.75);
    assert_eq!(marked(&student), 7.5);
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(folder.path().join("moved"), &path).unwrap();
    epoch(&mut run, 0.625).unwrap();
    assert_eq!(run.restore_best().unwrap(), 0.75, "still better than what was saved");
    epoch(&mut run, 0.875).unwrap();
    mark(&student, 0.0);
    assert_eq!((run.restore_best().unwrap(), marked(&student)), (0.875, 8.75));
    assert!(!run.is_exhausted());
}

#[test]
fn several_optimizers_and_stores_are_saved_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let start = |rate: f64| {
        let (student, mut other) = (Tiny::linear(2), Tiny::linear(2));
        let trainer = student.builder(Classification::default()).build(&student).unwrap();
        let adam = Optimizer::builder(&student.vs, AdamConfig::default()).build().unwrap();
        let sgd = SgdConfig { lr: rate, momentum: 0.9, ..SgdConfig::default() };
        let sgd = Optimizer::builder(&other.vs, sgd).build().unwrap();
        let builder = ResumableRun::builder(folder.path(), trainer, [adam, sgd])
            .weights("student", &student.vs)
            .weights("other", &other.vs);
        let run = builder.resume(()).unwrap();
        other.vs.freeze(); // the run does not borrow its stores
        other.vs.unfreeze();
        (run, student, other)
    };
    let (mut run, student, other) = start(0.1);
    run.trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    other.vs.variables().values().for_each(|tensor| tensor.square().sum(tensor.kind()).backward());
    run.optimizer.iter_mut().for_each(|optimizer| optimizer.step().unwrap());
    run.save(1.0).unwrap();
    let (mut resumed, student_again, other_again) = start(0.1);
    assert_same(&values(&student.vs), &values(&student_again.vs));
    assert_same(&values(&other.vs), &values(&other_again.vs));
    let debug = |run: &ResumableRun<(), [Optimizer; 2]>| format!("{:?}", run.optimizer);
    assert_eq!(debug(&run), debug(&resumed));
    assert_eq!(resumed.restore_best().unwrap(), 1.0);
}

#[test]
fn invalid_settings_of_a_run_are_errors_before_it_starts() {
    let folder = tempfile::tempdir().unwrap();
    let new = || builder(&folder, Setting::Noise).0;
    assert_config_error(new().every(0).resume(()), &["interval of snapshots", "at least 1"]);
    assert_config_error(new().patience(0).resume(()), &["patience", "at least 1"]);
    let (student, other) = (Tiny::linear(2), Tiny::linear(2));
    let trainer = || student.builder(Classification::default()).build(&student).unwrap();
    let bare = || ResumableRun::builder(folder.path(), trainer(), ());
    assert_config_error(bare().resume(()), &["weights of a resumable run", ".weights("]);
    assert_mismatch(bare().weights("a/b", &other.vs).resume(()), &["name of weights", "a/b"]);
}
