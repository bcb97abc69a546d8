//! Damaged snapshots, snapshots of another run, and state that cannot be saved.

use std::{fs, path::Path};

use g2d::{
    Batch, Error, Features, G2dTrainer, Modality, ModalityParams, Result, Student,
    checkpoint::{RunParts, Snapshot, SnapshotFolder},
    loss::Classification,
    optim::{AdamConfig, Optimizer, SgdConfig},
    probe::ConfidenceRatio,
    schedule::{Ranking, Sequential},
    trainer::{Builder, Precision},
};
use tch::{Kind, Tensor};

use super::{Loop, Run, Setting};
use crate::support::{Tiny, WIDTH, assert_error, assert_mismatch, assert_same, values};

/// The snapshot of a run after 5 steps.
fn snapshot(folder: &Path) -> Snapshot {
    let mut run = Run::new(Setting::PreviousEpoch);
    run.train(&mut Loop::default(), Some(5), None);
    let mut checkpoints = SnapshotFolder::open(folder).unwrap();
    checkpoints.save(&mut run.parts(), &Loop::default(), Some(0.5)).unwrap().clone()
}

/// Asserts that loading is an error with `words` and changes nothing of `run`.
#[track_caller]
fn assert_load_fails(snapshot: &Snapshot, run: &mut Run, words: &[&str]) -> Error {
    let state = |run: &mut Run| {
        let optimizer = format!("{:?}", run.optimizer);
        let state = serde_json::to_string(&run.trainer.state().unwrap()).unwrap();
        (values(&run.student.vs), optimizer, state)
    };
    let before = state(run);
    let error = assert_error(snapshot.load::<Loop>(&mut run.parts()), words);
    let after = state(run);
    assert_same(&before.0, &after.0);
    assert_eq!((before.1, before.2), (after.1, after.2));
    error
}

#[test]
fn a_changed_truncated_or_missing_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    let mut run = Run::new(Setting::PreviousEpoch);
    let names: Vec<_> = fs::read_dir(snapshot.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = fs::read(&path).unwrap();
        for at in [0, 9, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert_load_fails(&snapshot, &mut run, &[name, "move this one"]);
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_load_fails(&snapshot, &mut run, &[name]);
        }
        fs::write(&path, [&whole[..], b" "].concat()).unwrap();
        assert_load_fails(&snapshot, &mut run, &[name]);
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            assert_load_fails(&snapshot, &mut run, &[name, "read"]),
            Error::Io { .. }
        ));
        fs::write(&path, &whole).unwrap();
    }
    let _: Loop = snapshot.load(&mut run.parts()).unwrap();
    assert_eq!(run.trainer.progress().total_steps, 5);
}

/// Otherwise a run would resume from an older snapshot without notice.
#[test]
fn a_damaged_newest_snapshot_is_an_error_although_an_older_one_exists() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(Setting::Cached);
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    run.train(&mut Loop::default(), Some(2), Some(&mut checkpoints));
    let newest = checkpoints.latest().unwrap().path().join("manifest.json");
    let text = fs::read_to_string(&newest).unwrap();
    fs::write(&newest, &text[..text.len() / 2]).unwrap();
    let reopened = SnapshotFolder::open(folder.path()).unwrap();
    assert_eq!(reopened.snapshots().len(), 1);
    let mut other = Run::new(Setting::Cached);
    assert_mismatch(
        reopened.resume::<Loop>(&mut other.parts()),
        &["manifest.json", "move this one"],
    );
    assert_eq!(other.trainer.progress().total_steps, 0);
    fs::remove_dir_all(newest.parent().unwrap()).unwrap();
    let reopened = SnapshotFolder::open(folder.path()).unwrap();
    assert!(reopened.resume::<Loop>(&mut other.parts()).unwrap().is_some());
    assert_eq!(other.trainer.progress().total_steps, 1);
}

#[test]
fn a_snapshot_of_a_run_with_other_parts_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    assert_load_fails(&snapshot, &mut Run::new(Setting::Cached), &["optimizer", "adamw", "sgd"]);
    assert_load_fails(&snapshot, &mut Run::new(Setting::Noise), &["probes", "0", "4"]);
    assert_load_fails(&snapshot, &mut Run::new(Setting::Half), &["student.weights", "missing"]);

    // Other networks, trainers and parts with the same names.
    let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 1e-2, ..Default::default() };
    let load = |mut student: Tiny, edit: &dyn Fn(Builder) -> Builder| {
        let builder = edit(student.builder_with_teachers(Classification::default()));
        let mut trainer = builder.build(&student).unwrap();
        let mut optimizer = Optimizer::builder(&student.vs, sgd).build().unwrap();
        let before = values(&student.vs);
        let mut parts = RunParts::new(&mut trainer)
            .weights("student", &mut student.vs)
            .optimizer("main", &mut optimizer);
        let outcome = snapshot.load::<Loop>(&mut parts);
        assert_same(&values(&student.vs), &before);
        assert_eq!(trainer.progress().total_steps, 0);
        outcome
    };
    let probes = |builder: Builder| {
        (0..4).fold(builder, |builder, _| builder.probe(ConfidenceRatio::default()))
    };
    assert_mismatch(load(Tiny::conv(3), &|b| b), &["student.weights", "missing"]);
    let wide = Tiny::conv(2);
    assert_mismatch(load(wide, &probes), &["state of a scheduler"]);
    let stages = |builder: Builder| {
        builder.scheduler(Sequential::new([1, 1]).ranking(Ranking::PreviousEpoch))
    };
    assert_mismatch(load(Tiny::conv(2), &|b| probes(stages(b))), &["state of", "probe"]);
    let fp16 = |b: Builder| probes(stages(b)).precision(Precision::Fp16);
    assert_mismatch(load(Tiny::conv(2), &fp16), &["loss scale", "one", "none"]);

    let mut run = Run::new(Setting::PreviousEpoch);
    let Run { student, trainer, optimizer } = &mut run;
    let without = RunParts::new(trainer).weights("student", &mut student.vs);
    assert_mismatch(snapshot.load::<Loop>(&mut { without }), &["optimizers", "main.optimizer"]);
    let renamed =
        RunParts::new(trainer).weights("network", &mut student.vs).optimizer("main", optimizer);
    assert_mismatch(
        snapshot.load::<Loop>(&mut { renamed }),
        &["network.weights", "student.weights"],
    );
    assert_mismatch(snapshot.load::<Vec<u8>>(&mut run.parts()), &["the caller"]);
    assert_eq!(run.trainer.progress().total_steps, 0);
}

/// A student with its two modalities in reverse order.
struct Reversed(Tiny, Vec<Modality>);

impl Student for Reversed {
    fn modalities(&self) -> &[Modality] {
        &self.1
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.0.encode(1 - m, batch, train)
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        self.0.fuse(features, train)
    }
}

#[test]
fn a_snapshot_with_another_order_of_modalities_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut student = Tiny::linear(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut student.vs);
    checkpoints.save(&mut parts, &(), None).unwrap();

    let names = vec!["m1".into(), "m0".into()];
    let params = ModalityParams::by_name(&student.vs, &names).unwrap();
    let mut reversed = Reversed(student, names);
    let builder = G2dTrainer::builder(Classification::default()).encoders(params);
    let mut trainer = builder.build(&reversed).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut reversed.0.vs);
    assert_mismatch(checkpoints.resume::<()>(&mut parts), &["modalities", "\"m1\", \"m0\""]);
}

#[test]
fn invalid_names_or_scores_and_an_open_window_cannot_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    let mut student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
    let builder = student.builder(Classification::default()).accumulate(2);
    let mut trainer = builder.build(&student).unwrap();
    for name in ["", "a/b", "..", "ö"] {
        let mut parts = RunParts::new(&mut trainer).weights(name, &mut student.vs);
        assert_mismatch(checkpoints.save(&mut parts, &(), None), &["name of weights", name]);
    }
    let mut optimizers =
        [0, 1].map(|_| Optimizer::builder(&student.vs, AdamConfig::default()).build().unwrap());
    let [a, b] = &mut optimizers;
    let mut parts = RunParts::new(&mut trainer).optimizer("x", a).optimizer("x", b);
    assert_mismatch(checkpoints.save(&mut parts, &(), None), &["name of optimizer", "once"]);
    let mut parts = RunParts::new(&mut trainer);
    assert_mismatch(checkpoints.save(&mut parts, &(), Some(f64::NAN)), &["score", "NaN"]);
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut student.vs);
    assert_mismatch(
        checkpoints.save(&mut parts, &(), None),
        &["window", "1 of 2", "finish_window"],
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no file is left");
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut student.vs);
    checkpoints.save(&mut parts, &(), None).unwrap();
}
