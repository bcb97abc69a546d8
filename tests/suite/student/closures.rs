//! Students from closures.

use g2d::{
    Features, G2dTrainer, Result, Student,
    loss::{Classification, Distillation},
    student::{Closures, ClosuresBuilder},
};
use tch::{Kind, Tensor};

use crate::support::{
    Tiny, WIDTH, assert_config_error, assert_same, fuse, gradients, unimodal_logits,
};

/// The methods of `tiny` as closures.
fn from_tiny(tiny: &Tiny) -> Closures<'_> {
    let head = |m: usize| {
        move |_own: &Tensor, all: &Features<'_>| Ok(tiny.unimodal_logits(m, all)?.unwrap())
    };
    Closures::builder()
        .encoder("m0", |input, train| {
            tiny.encode(0, &g2d::Batch::new([input], Tensor::from(0.0)), train)
        })
        .encoder("m1", |input, train| {
            tiny.encode(1, &g2d::Batch::new([input, input], Tensor::from(0.0)), train)
        })
        .fusion(|features, train| tiny.fuse(features, train))
        .head("m0", head(0))
        .head("m1", head(1))
        .feature_shape("m1", [WIDTH])
        .distilled("m0", |own, _features| Ok(own * 2.0))
        .build()
        .unwrap()
}

#[test]
fn a_step_of_closures_equals_that_of_a_type() {
    let tiny = Tiny::conv(2);
    let step = |student: &dyn Student| {
        tiny.optimizer().zero_grad();
        let builder = tiny.builder(Classification::new(Distillation::none()));
        let mut trainer: G2dTrainer = builder.build(student).unwrap();
        let report = trainer.step(student, &tiny.batch(4, 0.0)).unwrap();
        (report.logits, gradients(&tiny.vs))
    };
    let ((ours, own), (theirs, expected)) = (step(&from_tiny(&tiny)), step(&tiny));
    assert!(ours.equal(&theirs));
    assert_same(&own, &expected);
}

#[test]
fn optional_parts_are_those_that_were_given() {
    let tiny = Tiny::linear(2);
    let student = from_tiny(&tiny);
    let batch = tiny.batch(3, 0.0);
    let tensors = [0, 1].map(|m| student.encode(m, &batch, false).unwrap());
    let features = Features::new(&tensors, &batch).unwrap();
    assert_eq!((student.feature_shape(0), student.feature_shape(1)), (None, Some(vec![WIDTH])));
    let distilled = student.distilled_features(&features).unwrap();
    assert!(distilled[0].equal(&(&tensors[0] * 2.0)) && distilled[1].equal(&tensors[1]));
    for m in 0..2 {
        let expected = unimodal_logits(&tiny, m, &tensors, &batch);
        assert!(unimodal_logits(&student, m, &tensors, &batch).equal(&expected));
    }
    assert!(fuse(&student, &tensors, &batch, true).equal(&fuse(&tiny, &tensors, &batch, true)));

    let plain = required().fusion(|features, _| Ok(features[0].shallow_clone())).build().unwrap();
    assert!(plain.unimodal_logits(0, &features).unwrap().is_none());
    assert!(plain.distilled_features(&features).unwrap()[0].equal(&tensors[0]));
}

/// Two encoders and no fusion.
fn required<'a>() -> ClosuresBuilder<'a> {
    let encode = |input: &g2d::batch::Input, _: bool| Ok(input.to_kind(Kind::Double));
    Closures::builder().encoder("a", encode).encoder("b", encode)
}

#[test]
fn incomplete_and_contradictory_parts_are_errors_of_build() {
    let none = |_: &Features<'_>, _: bool| -> Result<Tensor> { Ok(Tensor::new()) };
    let words = ["student from closures", "a call of `fusion`", "none"];
    assert_config_error(required().build(), &words);
    assert_config_error(Closures::builder().fusion(none).build(), &["a call of `encoder`"]);
    let twice = required().encoder("a", |input, _| Ok(input.shallow_clone().to_kind(Kind::Float)));
    assert_config_error(twice.fusion(none).build(), &["\"a\" twice"]);
    let words = ["head", "one of [\"a\", \"b\"]", "found \"c\"", "encoder"];
    let head = required().fusion(none).head("c", |own, _| Ok(own.shallow_clone()));
    assert_config_error(head.build(), &words);
    assert_config_error(required().fusion(none).feature_shape("c", [3]).build(), &words);
}
