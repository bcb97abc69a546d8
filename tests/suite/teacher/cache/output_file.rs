//! What comes back from a file, in which kinds, and what is left on disk.

use std::{cell::Cell, fs};

use g2d::{
    Error, G2dTrainer, Teacher,
    loss::Classification,
    schedule::Sequential,
    teacher::{
        Cached,
        cache::{self, Storage},
    },
};
use tch::{Device, Kind, Tensor};

use super::{Kinded, batches, file, identity};
use crate::support::{
    BentTeacher, Tiny, WIDTH, assert_same, mismatch, python, refused, stdout, values,
};

#[test]
fn a_file_says_what_the_teacher_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let calls = Cell::new(0);
    let count = || batches(&student).into_iter().inspect(|_| calls.set(calls.get() + 1));
    let file = file(&path);
    let first = file.open_or_record(Device::Cpu, &live, 0, count()).unwrap();
    let again = file.open_or_record(Device::Cpu, &live, 0, count()).unwrap();
    assert_eq!((calls.get(), first.len()), (2, 7), "recorded once");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a part is left behind");
    drop(first);
    for batch in batches(&student) {
        let batch = batch.unwrap();
        let (a, b) = (live.output(0, &batch).unwrap(), again.output(0, &batch).unwrap());
        assert!(a.features.equal(&b.features) && a.logits.equal(&b.logits));
        let host = b.host.expect("ρ is known without asking the device");
        assert!(host.logits.equal(&a.logits) && host.targets.equal(batch.targets()));
    }
    let header = cache::Header::from_file(&path).unwrap();
    assert_eq!((header.modality().name(), header.samples()), ("m0", 7));
    assert_eq!((header.feature_shape(), header.classes()), (&[WIDTH][..], 3));
    assert_eq!((header.view(), header.storage()), (None, Storage::Full));
}

/// The same steps, bit by bit, from live teachers and from files shared with another thread.
#[test]
fn training_from_files_makes_the_same_steps() {
    let folder = tempfile::tempdir().unwrap();
    let train = |from_file: bool| {
        let student = Tiny::linear(2);
        let builder = (0..2).fold(student.builder(Classification::default()), |builder, m| {
            let (live, _vs) = student.teacher(m, WIDTH);
            if !from_file {
                return builder.teacher(live);
            }
            let identity = g2d::teacher::cache::Identity::new(
                format!("m{m}"),
                g2d::teacher::cache::Digest::from_parts(["w"]),
                g2d::teacher::cache::Digest::from_parts(["d"]),
            );
            let file =
                g2d::teacher::cache::OutputFile::new(folder.path().join(format!("{m}")), identity);
            let opened = file.open_or_record(Device::Cpu, &live, m, batches(&student)).unwrap();
            let shared = opened.share();
            drop(opened);
            builder.teacher(std::thread::spawn(move || shared).join().unwrap())
        });
        let mut trainer: G2dTrainer =
            builder.scheduler(Sequential::new([10])).build(&student).unwrap();
        let mut optimizer = student.optimizer();
        let mut told = Vec::new();
        for batch in batches(&student) {
            optimizer.zero_grad();
            told.push(trainer.step(&student, &batch.unwrap()).unwrap().read().unwrap());
            optimizer.step();
        }
        (told, values(&student.vs))
    };
    let ((live, live_values), (cached, cached_values)) = (train(false), train(true));
    assert_eq!(live, cached);
    assert_same(&live_values, &cached_values);
}

#[test]
fn sixteen_bits_are_given_back_as_float_and_logits_stay_exact() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let float = Kinded(student.teacher(0, WIDTH).0, Kind::Float);
    let whole = student.batch(4, 0.4);
    let said = float.output(0, &whole).unwrap();
    for (storage, kind, bound) in [
        (Storage::Half, Kind::Half, 2_f64.powi(-11)),
        (Storage::BFloat16, Kind::BFloat16, 2_f64.powi(-8)),
    ] {
        let file = file(&folder.path().join(format!("{storage:?}"))).storage(storage);
        let opened = file.open_or_record(Device::Cpu, &float, 0, batches(&student)).unwrap();
        let found = opened.output(0, &whole).unwrap();
        assert_eq!((found.features.kind(), found.logits.kind()), (Kind::Float, Kind::Float));
        assert!(found.features.equal(&said.features.to_kind(kind).to_kind(Kind::Float)));
        assert!(!found.features.equal(&said.features), "it was rounded");
        let apart = (&found.features - &said.features).abs() / said.features.abs().clamp_min(1e-3);
        assert!(apart.max().double_value(&[]) <= bound);
        assert!(found.logits.equal(&said.logits), "ρ is exact");
    }
    // A teacher in 16 bits is kept as it is, and given back as `Float`.
    let half = Kinded(student.teacher(0, WIDTH).0, Kind::Half);
    let kept = file(&folder.path().join("half"));
    let kept = kept.open_or_record(Device::Cpu, &half, 0, batches(&student)).unwrap();
    let (found, said) = (kept.output(0, &whole).unwrap(), half.output(0, &whole).unwrap());
    assert!(found.features.equal(&said.features.to_kind(Kind::Float)));
    assert!(found.logits.equal(&said.logits.to_kind(Kind::Float)));
    let in_memory = Cached::record(&half, 0, batches(&student)).unwrap();
    assert_eq!(in_memory.output(0, &whole).unwrap().features.kind(), Kind::Half, "as it was given");
}

/// Sequences of features keep their shape; an odd number of 16 bits before the logits is no trouble.
#[test]
fn features_of_any_shape() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::of_widths(&[WIDTH, WIDTH], Kind::Float);
    let sequence = |mut said: g2d::TeacherOutput| {
        said.features = said.features.narrow(1, 0, 3).unsqueeze(1);
        said
    };
    let teacher = BentTeacher(student.teacher(0, WIDTH).0, sequence);
    let file = g2d::teacher::cache::OutputFile::new(
        folder.path().join("sequence"),
        g2d::teacher::cache::Identity::new(
            "m0",
            g2d::teacher::cache::Digest::from_parts(["w"]),
            g2d::teacher::cache::Digest::from_parts(["d"]),
        )
        .feature_shape([1, 3]),
    );
    let file = file.storage(Storage::Half);
    let opened = file.open_or_record(Device::Cpu, &teacher, 0, batches(&student)).unwrap();
    let found = opened.output(0, &student.batch(4, 0.4)).unwrap();
    assert_eq!(found.features.size(), [4, 1, 3]);
    let said = teacher.output(0, &student.batch(4, 0.4)).unwrap();
    assert!(found.logits.equal(&said.logits));
}

/// Two ways to more than one view: a file for each, or ids that count views as samples.
#[test]
fn augmented_views() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let ids: Vec<i64> = (0..4).collect();
    let seen = |view: i64| student.batch(4, view as f64).with_ids(ids.clone());

    let path = |view: i64| folder.path().join(format!("view-{view}"));
    let bound =
        |view: i64| g2d::teacher::cache::OutputFile::new(path(view), identity("a").view(view));
    for view in 0..2 {
        bound(view).record(&live, 0, [Ok(seen(view))]).unwrap();
        let opened = bound(view).open(Device::Cpu).unwrap();
        let said = live.output(0, &seen(view)).unwrap();
        assert!(opened.output(0, &seen(view)).unwrap().features.equal(&said.features));
    }
    let other = g2d::teacher::cache::OutputFile::new(path(0), identity("a").view(1));
    mismatch(other.open(Device::Cpu), &["view \"1\"", "view \"0\""]);
    let none = g2d::teacher::cache::OutputFile::new(path(0), identity("a"));
    mismatch(none.open(Device::Cpu), &["view none", "view \"0\""]);

    let numbered = |view: i64| {
        let ids: Vec<i64> = ids.iter().map(|id| id + 4 * view).collect();
        seen(view).with_ids(ids)
    };
    let both = file(&folder.path().join("both"));
    let both = both.open_or_record(Device::Cpu, &live, 0, (0..2).map(|v| Ok(numbered(v)))).unwrap();
    for view in 0..2 {
        let said = live.output(0, &numbered(view)).unwrap();
        assert!(both.output(0, &numbered(view)).unwrap().features.equal(&said.features));
    }
}

/// Nothing stands under the name, and nothing beside it, when recording fails; what was there stays.
#[test]
fn a_failed_recording_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let fails = || {
        let failed = g2d::evaluate(&student, []).map(|_| unreachable!());
        batches(&student).into_iter().chain([failed])
    };
    refused(file(&path).record(&live, 0, fails()), &["evaluation"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    file(&path).record(&live, 0, batches(&student)).unwrap();
    let before = fs::read(&path).unwrap();
    refused(file(&path).record(&live, 0, fails()), &["evaluation"]);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = file(&folder.path().join("no/folder")).record(&live, 0, batches(&student));
    assert!(matches!(nowhere, Err(Error::Io { .. })));

    // A new file over an open one: who has the old one open keeps it.
    let open = file(&path).open(Device::Cpu).unwrap();
    let twice = |mut said: g2d::TeacherOutput| {
        said.features *= 2.0;
        said
    };
    let other = BentTeacher(student.teacher(0, WIDTH).0, twice);
    file(&path).record(&other, 0, batches(&student)).unwrap();
    let batch = student.batch(4, 0.4);
    let said = live.output(0, &batch).unwrap().features;
    assert!(open.output(0, &batch).unwrap().features.equal(&said));
    let new = file(&path).open(Device::Cpu).unwrap();
    assert!(new.output(0, &batch).unwrap().features.equal(&(said * 2.0)));
}

#[test]
fn samples_that_lack_the_modality_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let masked = student.batch(4, 0.4).with_present(0, [true, false, true, false]);
    let file = file(&folder.path().join("m0"));
    assert_eq!(file.open_or_record(Device::Cpu, &live, 0, [Ok(masked)]).unwrap().len(), 2);
}

/// Python's own library opens the file and reads the same numbers.
#[test]
fn python_reads_the_file() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let float = Kinded(student.teacher(0, WIDTH).0, Kind::Float);
    file(&path).storage(Storage::BFloat16).record(&float, 0, batches(&student)).unwrap();
    let script = "
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], 'pt') as f:
    print(f.metadata()['modality'], f.metadata()['storage'], *f.get_tensor('ids').tolist())
    print(*f.get_tensor('features').float().flatten().tolist())
";
    let text = stdout(python.args(["-c", script]).arg(&path));
    let (about, features) = text.split_once('\n').unwrap();
    assert_eq!(about, "m0 bfloat16 100 101 102 103 104 105 106");
    let theirs: Vec<f32> = features.split_whitespace().map(|x| x.parse().unwrap()).collect();
    let all: Vec<i64> = (100..107).collect();
    let opened = file(&path).storage(Storage::BFloat16).open(Device::Cpu).unwrap();
    let ours = opened.output(0, &student.batch(7, 0.0).with_ids(all)).unwrap().features;
    assert!(ours.flatten(0, -1).equal(&Tensor::from_slice(&theirs)));
}
