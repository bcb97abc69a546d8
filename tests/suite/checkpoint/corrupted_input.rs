//! What does not fit is refused with its reason, and nothing has changed.

use std::{fs, path::Path};

use g2d::{
    Error, Student,
    checkpoint::{RunParts, Snapshot, SnapshotFolder},
    loss::Classification,
    optim::{AdamConfig, Optimizer, SgdConfig},
    probe::ConfidenceRatio,
    schedule::Sequential,
    trainer::Precision,
};
use tch::Kind;

use super::{Loop, Run, Setting};
use crate::support::{Tiny, WIDTH, assert_same, mismatch, refused, values};

/// A folder with one snapshot of a run that did 5 steps.
fn snapshot(folder: &Path) -> Snapshot {
    let mut run = Run::new(Setting::PreviousEpoch);
    run.go(&mut Loop::default(), Some(5), None);
    let mut checkpoints = SnapshotFolder::open(folder).unwrap();
    checkpoints.save(&mut run.parts(), &Loop::default(), Some(0.5)).unwrap().clone()
}

/// Loading is refused with `words`, and changes nothing of `run`.
fn refuse(snapshot: &Snapshot, run: &mut Run, words: &[&str]) -> Error {
    let all = |run: &mut Run| {
        let optimizer = format!("{:?}", run.optimizer);
        let state = serde_json::to_string(&run.trainer.state().unwrap()).unwrap();
        (values(&run.student.vs), optimizer, state)
    };
    let before = all(run);
    let error = refused(snapshot.load::<Loop>(&mut run.parts()), words);
    let after = all(run);
    assert_same(&before.0, &after.0);
    assert_eq!((before.1, before.2), (after.1, after.2));
    error
}

#[test]
fn every_byte_of_every_file_counts() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    let mut run = Run::new(Setting::PreviousEpoch);
    let names: Vec<_> = fs::read_dir(snapshot.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = fs::read(&path).unwrap();
        for at in [0, 9, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            fs::write(&path, &altered).unwrap();
            refuse(&snapshot, &mut run, &[name, "move this one"]);
        }
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            refuse(&snapshot, &mut run, &[name]);
        }
        fs::write(&path, [&whole[..], b" "].concat()).unwrap();
        refuse(&snapshot, &mut run, &[name]);
        fs::remove_file(&path).unwrap();
        assert!(matches!(refuse(&snapshot, &mut run, &[name, "read"]), Error::Io { .. }));
        fs::write(&path, &whole).unwrap();
    }
    let _: Loop = snapshot.load(&mut run.parts()).unwrap();
    assert_eq!(run.trainer.progress().total_steps, 5);
}

/// The newest snapshot is damaged: nobody goes on from an older one without knowing.
#[test]
fn a_damaged_newest_snapshot_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(Setting::Cached);
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    run.go(&mut Loop::default(), Some(2), Some(&mut checkpoints));
    let newest = checkpoints.latest().unwrap().path().join("manifest.json");
    let text = fs::read_to_string(&newest).unwrap();
    fs::write(&newest, &text[..text.len() / 2]).unwrap();
    let reopened = SnapshotFolder::open(folder.path()).unwrap();
    assert_eq!(reopened.snapshots().len(), 1);
    let mut other = Run::new(Setting::Cached);
    mismatch(reopened.resume::<Loop>(&mut other.parts()), &["manifest.json", "move this one"]);
    assert_eq!(other.trainer.progress().total_steps, 0);
    fs::remove_dir_all(newest.parent().unwrap()).unwrap();
    let reopened = SnapshotFolder::open(folder.path()).unwrap();
    assert!(reopened.resume::<Loop>(&mut other.parts()).unwrap().is_some());
    assert_eq!(other.trainer.progress().total_steps, 1);
}

#[test]
fn a_snapshot_of_another_run_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    refuse(&snapshot, &mut Run::new(Setting::Cached), &["optimizer", "adamw", "sgd"]);
    refuse(&snapshot, &mut Run::new(Setting::Noise), &["probes", "0", "4"]);
    refuse(&snapshot, &mut Run::new(Setting::Half), &["student.weights", "missing"]);

    // Other networks, trainers and parts under the same names.
    let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 1e-2, ..Default::default() };
    let like = |mut student: Tiny,
                edit: &dyn Fn(g2d::trainer::Builder) -> g2d::trainer::Builder| {
        let builder = edit(student.taught(Classification::default()));
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
    let probes = |builder: g2d::trainer::Builder| {
        (0..4).fold(builder, |builder, _| builder.probe(ConfidenceRatio::default()))
    };
    mismatch(like(Tiny::conv(3), &|b| b), &["student.weights", "missing"]);
    let wide = Tiny::conv(2);
    mismatch(like(wide, &probes), &["state of a scheduler"]);
    let stages = |b: g2d::trainer::Builder| {
        b.scheduler(Sequential::new([1, 1]).ranking(g2d::schedule::Ranking::PreviousEpoch))
    };
    mismatch(like(Tiny::conv(2), &|b| probes(stages(b))), &["state of", "probe"]);
    let fp16 = |b: g2d::trainer::Builder| probes(stages(b)).precision(Precision::Fp16);
    mismatch(like(Tiny::conv(2), &fp16), &["loss scale", "one", "none"]);

    let mut run = Run::new(Setting::PreviousEpoch);
    let Run { student, trainer, optimizer } = &mut run;
    let more = RunParts::new(trainer).weights("student", &mut student.vs);
    mismatch(snapshot.load::<Loop>(&mut { more }), &["optimizers", "main.optimizer"]);
    let renamed =
        RunParts::new(trainer).weights("network", &mut student.vs).optimizer("main", optimizer);
    mismatch(snapshot.load::<Loop>(&mut { renamed }), &["network.weights", "student.weights"]);
    mismatch(snapshot.load::<Vec<u8>>(&mut run.parts()), &["the caller"]);
    assert_eq!(run.trainer.progress().total_steps, 0);
}

#[test]
fn another_order_of_modalities_is_told() {
    /// The same network with its modalities turned round.
    struct Turned(Tiny, Vec<g2d::Modality>);
    impl Student for Turned {
        fn modalities(&self) -> &[g2d::Modality] {
            &self.1
        }
        fn encode(&self, m: usize, batch: &g2d::Batch, train: bool) -> g2d::Result<tch::Tensor> {
            self.0.encode(1 - m, batch, train)
        }
        fn fuse(&self, features: &[tch::Tensor], train: bool) -> g2d::Result<tch::Tensor> {
            self.0.fuse(features, train)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut student = Tiny::linear(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut student.vs);
    checkpoints.save(&mut parts, &(), None).unwrap();

    let names = vec!["m1".into(), "m0".into()];
    let params = g2d::ModalityParams::by_name(&student.vs, &names).unwrap();
    let mut turned = Turned(student, names);
    let builder = g2d::G2dTrainer::builder(Classification::default()).encoders(params);
    let mut trainer = builder.build(&turned).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut turned.0.vs);
    mismatch(checkpoints.resume::<()>(&mut parts), &["modalities", "\"m1\", \"m0\""]);
}

#[test]
fn names_and_moments_that_cannot_be_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = SnapshotFolder::open(folder.path()).unwrap();
    let mut student = Tiny::of_widths(&[WIDTH; 2], Kind::Float);
    let builder = student.builder(Classification::default()).accumulate(2);
    let mut trainer = builder.build(&student).unwrap();
    for wrong in ["", "a/b", "..", "ö"] {
        let mut parts = RunParts::new(&mut trainer).weights(wrong, &mut student.vs);
        mismatch(checkpoints.save(&mut parts, &(), None), &["name of weights", wrong]);
    }
    let mut optimizers =
        [0, 1].map(|_| Optimizer::builder(&student.vs, AdamConfig::default()).build().unwrap());
    let [a, b] = &mut optimizers;
    let mut parts = RunParts::new(&mut trainer).optimizer("x", a).optimizer("x", b);
    mismatch(checkpoints.save(&mut parts, &(), None), &["name of optimizer", "once"]);
    let mut parts = RunParts::new(&mut trainer);
    mismatch(checkpoints.save(&mut parts, &(), Some(f64::NAN)), &["score", "NaN"]);
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut student.vs);
    mismatch(checkpoints.save(&mut parts, &(), None), &["window", "1 of 2", "finish_window"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was left behind");
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("student", &mut student.vs);
    checkpoints.save(&mut parts, &(), None).unwrap();
}
