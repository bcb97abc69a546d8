//! Files of another identity, damaged files, and outputs that cannot be recorded.

use std::fs;

use g2d::{
    Batch, Error, Modality, Result, Teacher, TeacherOutput,
    teacher::cache::{self, Digest, Storage},
    trainer::evaluate_teacher,
};
use tch::{Device, Kind, Tensor};

use super::{batches, file, identity};
use crate::support::{CLASSES, ModifiedTeacher, Tiny, WIDTH, assert_error, assert_mismatch};

#[test]
fn a_file_with_another_identity_is_an_error_and_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    file(&path).record(&student.teacher(0, WIDTH).0, 0, batches(&student)).unwrap();
    let digest = |text: &str| Digest::from_parts([text]);
    let (weights, data) = (Digest::from_parts(["weights", "a"]), digest("data"));
    let assert_foreign = |identity: cache::Identity, words: &[&str]| {
        let error =
            assert_mismatch(cache::OutputFile::new(&path, identity).open(Device::Cpu), words);
        assert!(matches!(error, Error::Data { .. }), "{error}");
        assert!(error.to_string().contains("m0.safetensors"), "{error}");
    };
    let modality = cache::Identity::new("m1", weights, data);
    assert_foreign(modality, &["modality \"m1\"", "modality \"m0\"", "record again"]);
    let others = identity("b");
    let theirs = Digest::from_parts(["weights", "b"]).to_string();
    assert_foreign(others, &["teacher weights", &theirs, &weights.to_string()]);
    let other_data = cache::Identity::new("m0", weights, digest("other"));
    assert_foreign(other_data, &["data", &digest("other").to_string(), &data.to_string()]);
    assert_foreign(identity("a").view("flipped"), &["view \"flipped\"", "found view none"]);
    assert_foreign(identity("a").feature_shape([5]), &["feature shape [5]", "feature shape [4]"]);
    assert_foreign(identity("a").classes(4), &["classes 4", "classes 3"]);
    assert_foreign(
        cache::Identity::new("m1", weights, digest("other")).classes(9),
        &["modality \"m1\", data ", ", classes 9, found modality \"m0\", data ", ", classes 3;"],
    );
    let half = file(&path).storage(Storage::Half).open(Device::Cpu);
    assert_mismatch(half, &["storage Half", "storage Full"]);
    let live = student.teacher(0, WIDTH).0;
    let other = cache::OutputFile::new(&path, identity("b"));
    assert_mismatch(other.open_or_record(Device::Cpu, &live, 0, []), &["teacher weights"]);
    cache::OutputFile::new(&path, cache::Identity::new("m0", weights, data))
        .open(Device::Cpu)
        .unwrap();
}

/// Every single changed byte, and every other length.
#[test]
fn a_changed_or_truncated_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::with_widths(&[WIDTH, WIDTH], Kind::Float);
    file(&path).record(&student.teacher(0, WIDTH).0, 0, batches(&student)).unwrap();
    let whole = fs::read(&path).unwrap();
    let read = |bytes: &[u8]| cache::Header::read(&mut &*bytes, bytes.len() as u64);
    read(&whole).unwrap();
    for at in 0..whole.len() {
        for bit in [1, 32, 128] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            assert_mismatch(read(&changed), &[]);
        }
        assert_mismatch(read(&whole[..at]), &[]);
    }
    assert_mismatch(read(&[&whole[..], b" "].concat()), &["added"]);

    // `open` maps the file and checks it before use.
    let middle = whole.len() - 40;
    let mut changed = whole.clone();
    changed[middle] ^= 1;
    let cases: [(&[u8], &str); 5] = [
        (&changed, "as it was written"),
        (&whole[..middle], "cut off"),
        (&whole[..100], "a whole g2d teacher cache"),
        (&whole[..4], "more bytes"),
        (b"", "empty"),
    ];
    for (bytes, word) in cases {
        fs::write(&path, bytes).unwrap();
        let error = assert_mismatch(file(&path).open(Device::Cpu), &[word]);
        assert!(matches!(error, Error::Data { .. }));
    }
}

#[test]
fn a_file_of_another_format_or_a_newer_version_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    assert_error(file(&path).open(Device::Cpu), &["open", "m0.safetensors"]);
    assert_mismatch(file(folder.path()).open(Device::Cpu), &["no file"]);
    g2d::weights::save(&student.vs, &path).unwrap();
    assert_mismatch(file(&path).open(Device::Cpu), &["a whole g2d teacher cache", "__metadata__"]);
    assert_mismatch(
        cache::Header::from_file(&path),
        &["a whole g2d teacher cache", "m0.safetensors"],
    );

    file(&path).record(&student.teacher(0, WIDTH).0, 0, batches(&student)).unwrap();
    let whole = fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&whole[8..300]).into_owned();
    assert!(text.contains("\"version\":\"1\""), "{text}");
    let at = whole.windows(13).position(|w| w == b"\"version\":\"1\"").unwrap() + 11;
    let mut newer = whole;
    newer[at] = b'2';
    fs::write(&path, newer).unwrap();
    assert_mismatch(
        file(&path).open(Device::Cpu),
        &["format version", "at most 1", "found 2", "newer"],
    );
}

/// A teacher that does not check whether the batch has its modality.
struct Unchecked(Modality);

impl Teacher for Unchecked {
    fn modality(&self) -> &Modality {
        &self.0
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let features = batch.input(m).copy();
        Ok(TeacherOutput { logits: features.copy(), features, host: None })
    }
}

#[test]
fn invalid_outputs_are_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let record = |teacher: &dyn Teacher, storage| {
        file(&path).storage(storage).record(teacher, 0, batches(&student))
    };
    let live = || student.teacher(0, WIDTH).0;
    let modified = |modify| ModifiedTeacher(live(), modify);
    let huge = modified(|mut output| {
        output.features = output.features * 1e6 + 1e6;
        output
    });
    let error = assert_mismatch(record(&huge, Storage::Half), &["features", "Half", "BFloat16"]);
    assert!(matches!(error, Error::NonFinite(_)));
    record(&huge, Storage::BFloat16).unwrap();
    fs::remove_file(&path).unwrap();
    let nan = modified(|mut output| {
        output.logits *= f64::NAN;
        output
    });
    assert_mismatch(record(&nan, Storage::Full), &["logits", "NaN", "inputs"]);
    let flat = modified(|mut output| {
        output.logits = output.logits.sum_dim_intlist([1_i64].as_slice(), false, None);
        output
    });
    assert_mismatch(record(&flat, Storage::Full), &["logits", "[B, C]", "[4]"]);
    let integers = modified(|mut output| {
        output.features = output.features.to_kind(Kind::Int64);
        output
    });
    assert_mismatch(record(&integers, Storage::Full), &["features", "floating-point", "Int64"]);
    let growing = modified(|mut output| {
        if output.logits.size()[0] == 3 {
            output.features = Tensor::cat(&[&output.features, &output.features], 1);
        }
        output
    });
    assert_mismatch(record(&growing, Storage::Full), &["features", "[4] Double", "[8] Double"]);
    let wide = student.teacher(0, 6).0;
    assert_mismatch(record(&wide, Storage::Full), &["feature shape [4]", "feature shape [6]"]);
    assert_mismatch(record(&student.teacher(1, WIDTH).0, Storage::Full), &["\"m0\"", "\"m1\""]);
    assert_mismatch(file(&path).record(&live(), 0, []), &["at least one batch"]);
    assert_mismatch(file(&path).record(&live(), 2, batches(&student)), &["below 2", "found 2"]);
    assert_mismatch(live().output(2, &student.batch(4, 0.0)), &["below 2", "found 2"]);
    let unchecked = Unchecked(Modality::new("m0"));
    assert_mismatch(
        g2d::teacher::Cached::record(&unchecked, 2, batches(&student)),
        &["below 2", "found 2"],
    );
    assert_mismatch(evaluate_teacher(&unchecked, 2, batches(&student)), &["below 2", "found 2"]);
    let long = identity("a").view("v".repeat(2 << 20));
    let long =
        cache::OutputFile::new(&path, long.classes(CLASSES)).record(&live(), 0, batches(&student));
    assert_mismatch(long, &["names of modality and view", "shorter"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no file is left");
}
