//! An optimizer's state, out and in.

use std::fs;

use g2d::{
    Error,
    optim::{AdamConfig, Algorithm, Optimizer, SgdConfig},
};
use tch::{Device, Kind, nn};

use super::{Small, reference_values::expected};
use crate::support::{assert_same, mismatch, refused, values};

#[test]
fn a_state_goes_on_bit_by_bit_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (rule, _)) in expected().into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.safetensors"));
        let whole = Small::new(Kind::Float);
        let mut optimizer = Optimizer::builder(&whole.vs, rule).build().unwrap();
        whole.run(&mut optimizer, 0..1); // `other.b` was never stepped
        optimizer.save(&path).unwrap();

        let mut resumed = Small::new(Kind::Float);
        resumed.vs.copy(&whole.vs).unwrap();
        let mut second = Optimizer::builder(&resumed.vs, rule).build().unwrap();
        second.load(&path).unwrap();
        assert!(optimizer.lr().eq(second.lr()), "the factor is part of it");
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
fn a_state_of_another_optimizer_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sgd.safetensors");
    let small = Small::new(Kind::Float);
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, ..Default::default() };
    let mut optimizer = Optimizer::builder(&small.vs, sgd).build().unwrap();
    small.run(&mut optimizer, 0..5);
    optimizer.save(&path).unwrap();

    let load = |builder: g2d::optim::Builder, words: &[&str]| {
        let mut other = builder.build().unwrap();
        let before = format!("{other:?}");
        mismatch(other.load(&path), words);
        assert_eq!(format!("{other:?}"), before);
    };
    let of = |rule: Algorithm| Optimizer::builder(&small.vs, rule);
    load(of(AdamConfig::default().into()), &["groups", "adam", "sgd"]);
    load(of(SgdConfig::default().into()), &["groups", "momentum_buffer"]);
    load(of(sgd.into()).group("other", sgd), &["groups", "other"]);
    load(
        Optimizer::builder(&Small::new(Kind::Double).vs, sgd),
        &["momentum_buffer", "Double", "Float"],
    );
    let renamed = nn::VarStore::new(Device::Cpu);
    let _ = renamed.root().zeros("w", &[3, 2]);
    let _ = renamed.root().zeros("c", &[3]);
    load(Optimizer::builder(&renamed, sgd), &["2 parameters", "\"c\"", "other.b"]);

    let whole = fs::read(&path).unwrap();
    let mut refuse = |bytes: &[u8], words: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let error = refused(optimizer.load(&path), words);
        assert!(matches!(error, Error::Data { .. }));
    };
    refuse(&whole[..whole.len() - 1], &["sgd.safetensors", "safetensors"]);
    refuse(&whole[..20], &["header"]);
    refuse(b"", &["header"]);
    let text = String::from_utf8_lossy(&whole).into_owned();
    let at = text.find("version").unwrap();
    let mut newer = whole.clone();
    let digit = newer[at..].iter().position(u8::is_ascii_digit).unwrap();
    newer[at + digit] = b'9';
    refuse(&newer, &["at most 1", "newer"]);
    crate::support::refused(optimizer.load(folder.path().join("none")), &["none", "read"]);
}
