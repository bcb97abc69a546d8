//! Groups of parameters by path and by predicate.

use g2d::{
    loss::Classification,
    optim::{AdamWConfig, Builder, Optimizer, ParameterInfo, SgdConfig},
};
use tch::Kind;

use crate::support::{Tiny, assert_mismatch, values};

const SGD: SgdConfig =
    SgdConfig { lr: 0.5, momentum: 0.0, dampening: 0.0, weight_decay: 0.25, nesterov: false };

/// Where every gradient is 0, weight decay alone changes a parameter: θ ← θ − η λ θ.
#[test]
fn biases_and_norms_do_not_decay_in_any_group() {
    let student = Tiny::conv(2);
    let slow = SgdConfig { lr: 0.125, ..SGD };
    let mut optimizer = Optimizer::builder(&student.vs, SGD)
        .group("m1", slow)
        .no_decay(ParameterInfo::is_bias_or_norm)
        .build()
        .unwrap();
    let names: Vec<_> = optimizer.lr().collect();
    let expected = [("", 0.5), (" (no decay)", 0.5), ("m1", 0.125), ("m1 (no decay)", 0.125)];
    assert_eq!(names, expected);
    let before = values(&student.vs);
    let parameters = student.vs.trainable_variables();
    let sum = parameters.iter().fold(parameters[0].sum(Kind::Double) * 0.0, |sum, parameter| {
        sum + (parameter * 0.0).sum(Kind::Double)
    });
    sum.backward();
    optimizer.step().unwrap();
    for (name, value) in values(&student.vs) {
        let factor = match name.as_str() {
            "m0.conv.weight" | "head.weight" => 1.0 - 0.5 * 0.25,
            "m1.conv.weight" => 1.0 - 0.125 * 0.25,
            _ => 1.0,
        };
        let difference = &value - &before[&name] * factor;
        assert!(difference.abs().max().double_value(&[]) < 1e-12, "{name}");
    }
}

/// A group that has no weight decay anyway is not split.
#[test]
fn a_predicate_selects_by_name_shape_and_modality() {
    let student = Tiny::conv(2);
    let params = student.params();
    let none = SgdConfig { weight_decay: 0.0, ..SGD };
    let built = Optimizer::builder(&params, SGD)
        .group_where("convolutions", |p| p.shape.len() == 4 && p.is_of("m0"), none)
        .group_where("last", |p| p.name.starts_with("head."), none)
        .no_decay(|p| p.modality.is_none())
        .build()
        .unwrap();
    let text = format!("{built:?}");
    let names: Vec<_> = built.lr().map(|(name, _)| name).collect();
    assert_eq!(names, ["", "convolutions", "last"]);
    let group = |name: &str| {
        let rest = text.split(&format!("name: {name:?}, algorithm")).nth(1).unwrap();
        rest.split("algorithm").next().unwrap().matches("tensor:").count()
    };
    assert_eq!([group("convolutions"), group("last"), group("")], [1, 2, 7]);
}

#[test]
fn invalid_groups_are_errors_that_name_them() {
    let student = Tiny::conv(2);
    let builder = || Optimizer::builder(&student.vs, SGD);
    let refuse = |builder: Builder, words: &[&str]| assert_mismatch(builder.build(), words);
    let norms = |p: &ParameterInfo| p.is_bias_or_norm();
    let both = builder().group("head", SGD).group_where("norms", norms, SGD);
    refuse(both, &["\"head.bias\"", "one group", "\"head\" and \"norms\""]);
    // Modalities are unknown without a `ModalityParams`.
    let unknown = builder().group_where("m0", |p| p.is_of("m0"), SGD);
    refuse(unknown, &["group \"m0\"", "predicate", "head.bias", "ModalityParams"]);
    refuse(
        builder().group("m0", SGD).group("m0", SGD),
        &["group \"m0\"", "one group of this name"],
    );
    refuse(builder().group("", SGD), &["group \"\"", "two"]);
    let invalid = SgdConfig { lr: -1.0, ..SGD };
    refuse(builder().group_where("norms", norms, invalid), &["lr", "group \"norms\""]);
}

#[test]
fn an_optimizer_with_groups_resumes_and_one_with_other_groups_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adamw.safetensors");
    let adamw = AdamWConfig { lr: 0.01, weight_decay: 0.1, ..Default::default() };
    let build = |student: &Tiny| {
        Optimizer::builder(&student.params(), adamw)
            .group_where("m1", |p| p.is_of("m1"), AdamWConfig { lr: 0.1, ..adamw })
            .no_decay(ParameterInfo::is_bias_or_norm)
            .build()
            .unwrap()
    };
    let train = |student: &Tiny, optimizer: &mut Optimizer, steps: std::ops::Range<u64>| {
        let mut trainer = student.builder(Classification::default()).build(student).unwrap();
        for step in steps {
            trainer.step(student, &student.batch(4, step as f64)).unwrap();
            trainer.update(optimizer).unwrap();
        }
    };
    let (whole, mut resumed) = (Tiny::linear(2), Tiny::linear(2));
    let mut first = build(&whole);
    train(&whole, &mut first, 0..3);
    first.save(&path).unwrap();
    resumed.vs.copy(&whole.vs).unwrap();
    let mut second = build(&resumed);
    second.load(&path).unwrap();
    train(&whole, &mut first, 3..6);
    train(&resumed, &mut second, 3..6);
    crate::support::assert_same(&values(&whole.vs), &values(&resumed.vs));

    let mut other = Optimizer::builder(&whole.params(), adamw).group("m1", adamw).build().unwrap();
    assert_mismatch(other.load(&path), &["groups", "(no decay)"]);
}
