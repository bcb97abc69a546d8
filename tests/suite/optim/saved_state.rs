//! The state of an optimizer in a file.

use std::fs;

use g2d::{
    Error,
    optim::{AdamConfig, Algorithm, Optimizer, SgdConfig},
};
use tch::{Device, Kind, nn};

use super::{Small, reference_values::expected};
use crate::support::{assert_error, assert_mismatch, assert_same, values};

#[test]
fn an_optimizer_resumes_from_its_file_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (algorithm, _)) in expected().into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.safetensors"));
        let whole = Small::new(Kind::Float);
        let mut optimizer = Optimizer::builder(&whole.vs, algorithm).build().unwrap();
        whole.run(&mut optimizer, 0..1); // `other.b` has no gradient yet
        optimizer.save(&path).unwrap();

        let mut resumed = Small::new(Kind::Float);
        resumed.vs.copy(&whole.vs).unwrap();
        let mut second = Optimizer::builder(&resumed.vs, algorithm).build().unwrap();
        second.load(&path).unwrap();
        assert!(optimizer.lr().eq(second.lr()), "the factor of the learning rate is saved");
        whole.run(&mut optimizer, 1..50);
        resumed.run(&mut second, 1..50);
        assert_same(&values(&whole.vs), &values(&resumed.vs));
        optimizer.save(&path).unwrap();
        second.load(&path).unwrap();
        whole.run(&mut optimizer, 50..80);
        resumed.run(&mut second, 50..80);
        assert_same(&values(&whole.vs), &values(&resumed.vs));
    }
}

#[test]
fn a_file_of_another_optimizer_or_a_damaged_one_is_an_error_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sgd.safetensors");
    let small = Small::new(Kind::Float);
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, ..Default::default() };
    let mut optimizer = Optimizer::builder(&small.vs, sgd).build().unwrap();
    small.run(&mut optimizer, 0..5);
    optimizer.save(&path).unwrap();

    let assert_load_fails = |builder: g2d::optim::Builder, words: &[&str]| {
        let mut other = builder.build().unwrap();
        let before = format!("{other:?}");
        assert_mismatch(other.load(&path), words);
        assert_eq!(format!("{other:?}"), before);
    };
    let builder = |algorithm: Algorithm| Optimizer::builder(&small.vs, algorithm);
    assert_load_fails(builder(AdamConfig::default().into()), &["groups", "adam", "sgd"]);
    assert_load_fails(builder(SgdConfig::default().into()), &["groups", "momentum_buffer"]);
    assert_load_fails(builder(sgd.into()).group("other", sgd), &["groups", "other"]);
    assert_load_fails(
        Optimizer::builder(&Small::new(Kind::Double).vs, sgd),
        &["momentum_buffer", "Double", "Float"],
    );
    let renamed = nn::VarStore::new(Device::Cpu);
    let _ = renamed.root().zeros("w", &[3, 2]);
    let _ = renamed.root().zeros("c", &[3]);
    let words = ["2 parameters", "\"c\"", "other.b"];
    assert_load_fails(Optimizer::builder(&renamed, sgd), &words);

    let whole = fs::read(&path).unwrap();
    let mut assert_invalid = |bytes: &[u8], words: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let error = assert_error(optimizer.load(&path), words);
        assert!(matches!(error, Error::Data { .. }));
    };
    assert_invalid(&whole[..whole.len() - 1], &["sgd.safetensors", "safetensors"]);
    assert_invalid(&whole[..20], &["header"]);
    assert_invalid(b"", &["safetensors", "an empty file"]);
    let text = String::from_utf8_lossy(&whole).into_owned();
    let at = text.find("version").unwrap();
    let mut newer = whole.clone();
    let digit = newer[at..].iter().position(u8::is_ascii_digit).unwrap();
    newer[at + digit] = b'9';
    assert_invalid(&newer, &["at most 1", "newer"]);
    assert_error(optimizer.load(folder.path().join("none")), &["none", "read"]);
}
