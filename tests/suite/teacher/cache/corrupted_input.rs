//! What does not belong, is cut or altered.

use std::fs;

use g2d::{
    Batch, Error, Modality, Result, Teacher, TeacherOutput,
    teacher::cache::{self, Digest, Storage},
    trainer::evaluate_teacher,
};
use tch::{Device, Kind, Tensor};

use super::{batches, file, identity};
use crate::support::{BentTeacher, CLASSES, Tiny, WIDTH, mismatch, refused};

#[test]
fn what_does_not_belong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    file(&path).record(&student.teacher(0, WIDTH).0, 0, batches(&student)).unwrap();
    let digest = |text: &str| Digest::from_parts([text]);
    let (weights, data) = (Digest::from_parts(["weights", "a"]), digest("data"));
    let refuses = |identity: cache::Identity, words: &[&str]| {
        let error = mismatch(cache::OutputFile::new(&path, identity).open(Device::Cpu), words);
        assert!(matches!(error, Error::Data { .. }), "{error}");
        assert!(error.to_string().contains("m0.safetensors"), "{error}");
    };
    let modality = cache::Identity::new("m1", weights, data);
    refuses(modality, &["modality \"m1\"", "modality \"m0\"", "record again"]);
    let others = identity("b");
    let theirs = Digest::from_parts(["weights", "b"]).to_string();
    refuses(others, &["teacher weights", &theirs, &weights.to_string()]);
    let other_data = cache::Identity::new("m0", weights, digest("other"));
    refuses(other_data, &["data", &digest("other").to_string(), &data.to_string()]);
    refuses(identity("a").view("flipped"), &["view \"flipped\"", "found view none"]);
    refuses(identity("a").feature_shape([5]), &["feature shape [5]", "feature shape [4]"]);
    refuses(identity("a").classes(4), &["classes 4", "classes 3"]);
    refuses(
        cache::Identity::new("m1", weights, digest("other")).classes(9),
        &["modality \"m1\", data ", ", classes 9, found modality \"m0\", data ", ", classes 3;"],
    );
    let half = file(&path).storage(Storage::Half).open(Device::Cpu);
    mismatch(half, &["storage Half", "storage Full"]);
    // Foreign to the identity: it is never replaced.
    let live = student.teacher(0, WIDTH).0;
    let other = cache::OutputFile::new(&path, identity("b"));
    mismatch(other.open_or_record(Device::Cpu, &live, 0, []), &["teacher weights"]);
    cache::OutputFile::new(&path, cache::Identity::new("m0", weights, data))
        .open(Device::Cpu)
        .unwrap();
}

/// Every byte of the file, changed alone, and every length that is too short or too long.
#[test]
fn every_byte_and_every_length_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::of_widths(&[WIDTH, WIDTH], Kind::Float);
    file(&path).record(&student.teacher(0, WIDTH).0, 0, batches(&student)).unwrap();
    let whole = fs::read(&path).unwrap();
    let read = |bytes: &[u8]| cache::Header::read(&mut &*bytes, bytes.len() as u64);
    read(&whole).unwrap();
    for at in 0..whole.len() {
        for bit in [1, 32, 128] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            mismatch(read(&changed), &[]);
        }
        mismatch(read(&whole[..at]), &[]);
    }
    mismatch(read(&[&whole[..], b" "].concat()), &["added"]);

    // The same through a file, which is mapped; what is refused is refused before use.
    let middle = whole.len() - 40;
    let mut changed = whole.clone();
    changed[middle] ^= 1;
    let cases: [(&[u8], &str); 5] = [
        (&changed, "as it was written"),
        (&whole[..middle], "bytes are missing"),
        (&whole[..100], "a whole g2d teacher cache"),
        (&whole[..4], "more bytes"),
        (b"", "empty"),
    ];
    for (bytes, word) in cases {
        fs::write(&path, bytes).unwrap();
        let error = mismatch(file(&path).open(Device::Cpu), &[word]);
        assert!(matches!(error, Error::Data { .. }));
    }
}

#[test]
fn foreign_and_newer_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    refused(file(&path).open(Device::Cpu), &["open", "m0.safetensors"]);
    mismatch(file(folder.path()).open(Device::Cpu), &["no file"]);
    g2d::weights::save(&student.vs, &path).unwrap();
    mismatch(file(&path).open(Device::Cpu), &["a whole g2d teacher cache", "__metadata__"]);
    mismatch(cache::Header::from_file(&path), &["a whole g2d teacher cache", "m0.safetensors"]);

    file(&path).record(&student.teacher(0, WIDTH).0, 0, batches(&student)).unwrap();
    let whole = fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&whole[8..300]).into_owned();
    assert!(text.contains("\"version\":\"1\""), "{text}");
    let at = whole.windows(13).position(|w| w == b"\"version\":\"1\"").unwrap() + 11;
    let mut newer = whole;
    newer[at] = b'2';
    fs::write(&path, newer).unwrap();
    mismatch(file(&path).open(Device::Cpu), &["format version", "at most 1", "found 2", "newer"]);
}

/// Takes its input without asking whether it is there, as teachers may.
struct Trusting(Modality);

impl Teacher for Trusting {
    fn modality(&self) -> &Modality {
        &self.0
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let features = batch.input(m).copy();
        Ok(TeacherOutput { logits: features.copy(), features, host: None })
    }
}

#[test]
fn what_cannot_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m0.safetensors");
    let student = Tiny::linear(2);
    let record = |teacher: &dyn Teacher, storage| {
        file(&path).storage(storage).record(teacher, 0, batches(&student))
    };
    let live = || student.teacher(0, WIDTH).0;
    let bent = |bend| BentTeacher(live(), bend);
    let huge = bent(|mut said| {
        said.features = said.features * 1e6 + 1e6;
        said
    });
    let error = mismatch(record(&huge, Storage::Half), &["features", "Half", "BFloat16"]);
    assert!(matches!(error, Error::NonFinite(_)));
    record(&huge, Storage::BFloat16).unwrap();
    fs::remove_file(&path).unwrap();
    let nan = bent(|mut said| {
        said.logits *= f64::NAN;
        said
    });
    mismatch(record(&nan, Storage::Full), &["logits", "NaN", "inputs"]);
    let flat = bent(|mut said| {
        said.logits = said.logits.sum_dim_intlist([1_i64].as_slice(), false, None);
        said
    });
    mismatch(record(&flat, Storage::Full), &["logits", "[B, C]", "[4]"]);
    let whole_numbers = bent(|mut said| {
        said.features = said.features.to_kind(Kind::Int64);
        said
    });
    mismatch(record(&whole_numbers, Storage::Full), &["features", "floating-point", "Int64"]);
    let growing = bent(|mut said| {
        if said.logits.size()[0] == 3 {
            said.features = Tensor::cat(&[&said.features, &said.features], 1);
        }
        said
    });
    mismatch(record(&growing, Storage::Full), &["features", "[4] Double", "[8] Double"]);
    let wide = student.teacher(0, 6).0;
    mismatch(record(&wide, Storage::Full), &["feature shape [4]", "feature shape [6]"]);
    mismatch(record(&student.teacher(1, WIDTH).0, Storage::Full), &["\"m0\"", "\"m1\""]);
    mismatch(file(&path).record(&live(), 0, []), &["at least one batch"]);
    mismatch(file(&path).record(&live(), 2, batches(&student)), &["below 2", "found 2"]);
    mismatch(live().output(2, &student.batch(4, 0.0)), &["below 2", "found 2"]);
    let trusting = Trusting(Modality::new("m0"));
    mismatch(
        g2d::teacher::Cached::record(&trusting, 2, batches(&student)),
        &["below 2", "found 2"],
    );
    mismatch(evaluate_teacher(&trusting, 2, batches(&student)), &["below 2", "found 2"]);
    let long = identity("a").view("v".repeat(2 << 20));
    let long =
        cache::OutputFile::new(&path, long.classes(CLASSES)).record(&live(), 0, batches(&student));
    mismatch(long, &["names of modality and view", "shorter"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}
