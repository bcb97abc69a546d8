//! Recording and reading of cache files, dtypes, atomic files.

use std::{cell::Cell, fs};

use g2d::{
    Error, Teacher, TeacherOutput,
    loss::Classification,
    schedule::Sequential,
    teacher::{
        Cached,
        cache::{Digest, Header, Identity, OutputFile, Storage},
    },
};
use tch::{Device, Kind, Tensor};

use super::{WithKind, batches, file, identity};
use crate::support::{
    ModifiedTeacher, Tiny, WIDTH, assert_error, assert_mismatch, assert_same, python, stdout,
    values,
};

fn digest(text: &str) -> Digest {
    Digest::from_parts([text])
}

#[test]
fn a_file_is_recorded_once_and_has_the_outputs_of_the_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let calls = Cell::new(0);
    let count = || batches(&student).into_iter().inspect(|_| calls.set(calls.get() + 1));
    let file = file(&path);
    let first = file.open_or_record(Device::Cpu, &live, 0, count()).unwrap();
    let second = file.open_or_record(Device::Cpu, &live, 0, count()).unwrap();
    assert_eq!((calls.get(), first.len()), (2, 7), "recorded once");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    drop(first);
    for batch in batches(&student) {
        let batch = batch.unwrap();
        let (a, b) = (live.output(0, &batch).unwrap(), second.output(0, &batch).unwrap());
        assert!(a.features.equal(&b.features) && a.logits.equal(&b.logits));
        let host = b.host.expect("logits and targets in host memory");
        assert!(host.logits.equal(&a.logits) && host.targets.equal(batch.targets()));
    }
    let header = Header::from_file(&path).unwrap();
    assert_eq!((header.modality().name(), header.samples()), ("m0", 7));
    assert_eq!((header.feature_shape(), header.classes()), (&[WIDTH][..], 3));
    assert_eq!((header.view(), header.storage()), (None, Storage::Full));
}

/// The opened file is sent to another thread before it is used.
#[test]
fn training_with_a_file_makes_the_same_steps_as_with_a_live_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let train = |from_file: bool| {
        let student = Tiny::linear(2);
        let builder = (0..2).fold(student.builder(Classification::default()), |builder, m| {
            let (live, _vs) = student.teacher(m, WIDTH);
            if !from_file {
                return builder.teacher(live);
            }
            let identity = Identity::new(format!("m{m}"), digest("w"), digest("d"));
            let file = OutputFile::new(folder.path().join(format!("{m}")), identity);
            let opened = file.open_or_record(Device::Cpu, &live, m, batches(&student)).unwrap();
            let shared = opened.share();
            drop(opened);
            builder.teacher(std::thread::spawn(move || shared).join().unwrap())
        });
        let mut trainer = builder.scheduler(Sequential::new([10])).build(&student).unwrap();
        let batches = batches(&student).into_iter().map(Result::unwrap);
        let steps = student.train(&mut trainer, &mut student.optimizer(), batches);
        (steps, values(&student.vs))
    };
    let ((live, live_values), (cached, cached_values)) = (train(false), train(true));
    assert_eq!(live, cached);
    assert_same(&live_values, &cached_values);
}

#[test]
fn features_stored_in_sixteen_bits_are_read_as_float_and_logits_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let float = WithKind(student.teacher(0, WIDTH).0, Kind::Float);
    let whole = student.batch(4, 0.4);
    let output = float.output(0, &whole).unwrap();
    for (storage, kind, bound) in [
        (Storage::Half, Kind::Half, 2_f64.powi(-11)),
        (Storage::BFloat16, Kind::BFloat16, 2_f64.powi(-8)),
    ] {
        let file = file(&folder.path().join(format!("{storage:?}"))).storage(storage);
        let opened = file.open_or_record(Device::Cpu, &float, 0, batches(&student)).unwrap();
        let found = opened.output(0, &whole).unwrap();
        assert_eq!((found.features.kind(), found.logits.kind()), (Kind::Float, Kind::Float));
        assert!(found.features.equal(&output.features.to_kind(kind).to_kind(Kind::Float)));
        assert!(!found.features.equal(&output.features), "features are rounded");
        let error = (&found.features - &output.features).abs();
        let error = error / output.features.abs().clamp_min(1e-3);
        assert!(error.max().double_value(&[]) <= bound);
        assert!(found.logits.equal(&output.logits), "logits are exact");
    }
    // The outputs of a teacher in 16 bits are stored exactly and read as `Float`.
    let half = WithKind(student.teacher(0, WIDTH).0, Kind::Half);
    let kept = file(&folder.path().join("half"));
    let kept = kept.open_or_record(Device::Cpu, &half, 0, batches(&student)).unwrap();
    let (found, output) = (kept.output(0, &whole).unwrap(), half.output(0, &whole).unwrap());
    assert!(found.features.equal(&output.features.to_kind(Kind::Float)));
    assert!(found.logits.equal(&output.logits.to_kind(Kind::Float)));
    let in_memory = Cached::record(&half, 0, batches(&student)).unwrap();
    assert_eq!(in_memory.output(0, &whole).unwrap().features.kind(), Kind::Half);
}

/// The features are an odd number of 16-bit values, after which the logits must be aligned.
#[test]
fn sequence_features_keep_their_shape() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::with_widths(&[WIDTH, WIDTH], Kind::Float);
    let sequence = |mut output: TeacherOutput| {
        output.features = output.features.narrow(1, 0, 3).unsqueeze(1);
        output
    };
    let teacher = ModifiedTeacher(student.teacher(0, WIDTH).0, sequence);
    let identity = Identity::new("m0", digest("w"), digest("d")).feature_shape([1, 3]);
    let file = OutputFile::new(folder.path().join("sequence"), identity).storage(Storage::Half);
    let opened = file.open_or_record(Device::Cpu, &teacher, 0, batches(&student)).unwrap();
    let found = opened.output(0, &student.batch(4, 0.4)).unwrap();
    assert_eq!(found.features.size(), [4, 1, 3]);
    let output = teacher.output(0, &student.batch(4, 0.4)).unwrap();
    assert!(found.logits.equal(&output.logits));
}

#[test]
fn augmented_views_have_a_file_each_or_an_id_each() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let ids: Vec<i64> = (0..4).collect();
    let augmented = |view: i64| student.batch(4, view as f64).with_ids(ids.clone());

    let path = |view: i64| folder.path().join(format!("view-{view}"));
    let file_of = |view: i64| OutputFile::new(path(view), identity("a").view(view));
    for view in 0..2 {
        file_of(view).record(&live, 0, [Ok(augmented(view))]).unwrap();
        let opened = file_of(view).open(Device::Cpu).unwrap();
        let output = live.output(0, &augmented(view)).unwrap();
        assert!(opened.output(0, &augmented(view)).unwrap().features.equal(&output.features));
    }
    let other = OutputFile::new(path(0), identity("a").view(1));
    assert_mismatch(other.open(Device::Cpu), &["view \"1\"", "view \"0\""]);
    let none = OutputFile::new(path(0), identity("a"));
    assert_mismatch(none.open(Device::Cpu), &["view none", "view \"0\""]);

    let numbered = |view: i64| {
        let ids: Vec<i64> = ids.iter().map(|id| id + 4 * view).collect();
        augmented(view).with_ids(ids)
    };
    let both = file(&folder.path().join("both"));
    let both = both.open_or_record(Device::Cpu, &live, 0, (0..2).map(|v| Ok(numbered(v)))).unwrap();
    for view in 0..2 {
        let output = live.output(0, &numbered(view)).unwrap();
        assert!(both.output(0, &numbered(view)).unwrap().features.equal(&output.features));
    }
}

#[test]
fn recording_is_atomic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let fails = || {
        let failed = g2d::evaluate(&student, []).map(|_| unreachable!());
        batches(&student).into_iter().chain([failed])
    };
    assert_error(file(&path).record(&live, 0, fails()), &["evaluation"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    file(&path).record(&live, 0, batches(&student)).unwrap();
    let before = fs::read(&path).unwrap();
    assert_error(file(&path).record(&live, 0, fails()), &["evaluation"]);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = file(&folder.path().join("no/folder")).record(&live, 0, batches(&student));
    assert!(matches!(nowhere, Err(Error::Io { .. })));

    // A teacher that has the replaced file open still reads the old outputs.
    let open = file(&path).open(Device::Cpu).unwrap();
    let double = |mut output: TeacherOutput| {
        output.features *= 2.0;
        output
    };
    let other = ModifiedTeacher(student.teacher(0, WIDTH).0, double);
    file(&path).record(&other, 0, batches(&student)).unwrap();
    let batch = student.batch(4, 0.4);
    let features = live.output(0, &batch).unwrap().features;
    assert!(open.output(0, &batch).unwrap().features.equal(&features));
    let new = file(&path).open(Device::Cpu).unwrap();
    assert!(new.output(0, &batch).unwrap().features.equal(&(features * 2.0)));
}

#[test]
fn samples_without_the_modality_are_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let masked = student.batch(4, 0.4).with_present(0, [true, false, true, false]);
    let file = file(&folder.path().join("m0"));
    assert_eq!(file.open_or_record(Device::Cpu, &live, 0, [Ok(masked)]).unwrap().len(), 2);
}

#[test]
fn the_safetensors_library_of_python_reads_the_file() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let float = WithKind(student.teacher(0, WIDTH).0, Kind::Float);
    file(&path).storage(Storage::BFloat16).record(&float, 0, batches(&student)).unwrap();
    let script = "
import sys
from safetensors import safe_open
with safe_open(sys.argv[1], 'pt') as f:
    print(f.metadata()['modality'], f.metadata()['storage'], *f.get_tensor('ids').tolist())
    print(*f.get_tensor('features').float().flatten().tolist())
";
    let text = stdout(python.args(["-c", script]).arg(&path));
    let (header, features) = text.split_once('\n').unwrap();
    assert_eq!(header, "m0 bfloat16 100 101 102 103 104 105 106");
    let theirs: Vec<f32> = features.split_whitespace().map(|x| x.parse().unwrap()).collect();
    let all: Vec<i64> = (100..107).collect();
    let opened = file(&path).storage(Storage::BFloat16).open(Device::Cpu).unwrap();
    let ours = opened.output(0, &student.batch(7, 0.0).with_ids(all)).unwrap().features;
    assert!(ours.flatten(0, -1).equal(&Tensor::from_slice(&theirs)));
}
