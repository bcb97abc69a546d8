//! Unimodal heads beside a fusion.

use g2d::{
    Batch, Features, Modality, ModalityParams, Result, Student,
    heads::WithHeads,
    loss::{Classification, Distillation},
};
use tch::{Device, Kind, Tensor, nn};

use crate::support::{
    CLASSES, ModifiedStudent, Tiny, WIDTH, assert_close, assert_config_error, assert_mismatch,
    fill, fuse, gradients, names, unimodal_logits,
};

fn variables() -> nn::VarStore {
    nn::VarStore::new(Device::Cpu)
}

/// The student with heads in a store of their own.
fn with_heads(student: Tiny) -> (WithHeads<Tiny>, nn::VarStore) {
    let mut vs = variables();
    let widths = vec![WIDTH; student.modalities().len()];
    let student = WithHeads::new(student, vs.root() / "heads", &widths, CLASSES).unwrap();
    vs.double();
    fill(&vs, 0.9);
    (student, vs)
}

#[test]
fn a_head_is_a_linear_layer_on_the_features_of_its_modality() {
    let (student, vs) = with_heads(Tiny::linear(3));
    let batch = student.student().batch(4, 0.0);
    let features: Vec<_> = (0..3).map(|m| student.encode(m, &batch, true).unwrap()).collect();
    for m in 0..3 {
        let get = |part: &str| vs.variables()[&format!("heads.m{m}.{part}")].shallow_clone();
        assert_eq!(get("weight").size(), [CLASSES, WIDTH]);
        let logits = unimodal_logits(&student, m, &features, &batch);
        assert_close(&logits, &(features[m].matmul(&get("weight").tr()) + get("bias")));
    }
    assert_eq!(vs.len(), 6);

    unimodal_logits(&student, 1, &features, &batch).sum(Kind::Double).backward();
    assert!(gradients(&vs).keys().eq(["heads.m1.bias", "heads.m1.weight"]));
    let encoders = gradients(&student.student().vs);
    assert!(!encoders.is_empty() && encoders.keys().all(|name| name.starts_with("m1.")));
}

/// A student all of whose methods return what no other does.
struct Other {
    names: Vec<Modality>,
}

impl Student for Other {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        Ok(batch.input(m) + f64::from(u8::from(train)))
    }
    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        let absent = features.rows()[1].count(4) as f64;
        Ok(&features[0] * 2.0 + f64::from(u8::from(train)) + absent)
    }
    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        (m == 1).then(|| vec![2])
    }
    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        Ok(features.iter().map(|f| f * 3.0).collect())
    }
}

#[test]
fn all_other_methods_are_those_of_the_student() {
    let vs = variables();
    let other = Other { names: names(2) };
    let student = WithHeads::new(Other { names: names(2) }, vs.root(), &[2, 2], 5).unwrap();
    let inputs =
        [Tensor::ones([3, 2], tch::kind::FLOAT_CPU), Tensor::zeros([3, 2], tch::kind::FLOAT_CPU)];
    let tensors = inputs.iter().map(Tensor::copy).collect::<Vec<_>>();
    let batch = Batch::new(inputs, Tensor::zeros([3], tch::kind::INT64_CPU));
    let batch = batch.with_present(1, [true, false, true]);
    let features = Features::new(&tensors, &batch).unwrap();
    assert_eq!(student.modalities(), other.modalities());
    assert_eq!(
        student.distilled_features(&features).unwrap(),
        other.distilled_features(&features).unwrap()
    );
    for m in 0..2 {
        assert_eq!(student.feature_shape(m), other.feature_shape(m));
    }
    for train in [true, false] {
        assert_eq!(
            student.encode(1, &batch, train).unwrap(),
            other.encode(1, &batch, train).unwrap()
        );
        assert_eq!(student.fuse(&features, train).unwrap(), other.fuse(&features, train).unwrap());
    }
}

#[test]
fn heads_train_beside_a_fusion_and_belong_to_no_encoder() {
    let (student, vs) = with_heads(Tiny::linear(2));
    let tiny = student.student();
    let loss = Classification::new(Distillation::balanced());
    let mut trainer = tiny.builder_with_teachers(loss).build(&student).unwrap();
    let report = trainer.step(&student, &tiny.batch(4, 0.0)).unwrap();
    assert!(report.terms.head.iter().all(Option::is_some));
    assert_eq!(gradients(&vs).len(), 4, "the heads learn");
    let batch = tiny.batch(4, 0.0);
    let fused = fuse(tiny, &[0, 1].map(|m| tiny.encode(m, &batch, true).unwrap()), &batch, true);
    assert!(report.logits.equal(&fused), "the fused logits do not use them");

    let vs = variables();
    let encoders = ["m0", "m1"].map(|m| nn::linear(vs.root() / m, 3, 4, Default::default()));
    let _heads = WithHeads::new(Other { names: names(2) }, &(vs.root() / "heads"), &[2, 2], 3);
    let params = ModalityParams::by_name(&vs, &names(2)).unwrap();
    assert_eq!(params.encoder(0).len() + params.encoder(1).len(), 2 * encoders.len());
}

#[test]
fn invalid_widths_are_errors() {
    let vs = variables();
    let new = |widths: &[i64], outputs| {
        WithHeads::new(Tiny::linear(2), vs.root() / "heads", widths, outputs).map(|_| ())
    };
    assert_config_error(new(&[WIDTH], 3), &["widths of the heads", "2, one for each", "found 1"]);
    assert_config_error(new(&[WIDTH, 0], 3), &["widths and outputs", "at least 1", "found 0"]);
    assert_config_error(new(&[WIDTH, WIDTH], -2), &["widths and outputs", "found -2"]);
    let words = ["features of modality \"m1\"", "[7], the width of its head", "found [4]"];
    assert_mismatch(new(&[WIDTH, 7], 3), &words);
    assert!(vs.is_empty(), "nothing is registered");
    // A student that does not return its feature shape.
    let tiny = Tiny::linear(2);
    let unknown = ModifiedStudent::without_optional_methods(&tiny);
    WithHeads::new(unknown, vs.root() / "heads", &[WIDTH, 7], 3).unwrap();
}
