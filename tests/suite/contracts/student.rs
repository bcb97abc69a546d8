//! The contract of `Student`.

use g2d::{Batch, Features, Student, batch::Input};
use tch::Tensor;

use crate::support::{CLASSES, Tiny, fuse};

fn contract(student: &dyn Student, batch: &Batch) {
    let k = student.modalities().len();
    let rows = batch.size();
    let encode = |batch: &Batch| -> Vec<Tensor> {
        (0..k).map(|m| student.encode(m, batch, false).unwrap()).collect()
    };
    let tensors = encode(batch);
    let features = Features::new(&tensors, batch).unwrap();
    for (m, own) in features.iter().enumerate() {
        assert_eq!((own.dim(), own.size()[0]), (2, rows));
        if let Some(shape) = student.feature_shape(m) {
            assert_eq!(own.size()[1..], shape, "`feature_shape` is the shape of the features");
        }
        let only = |(j, input): (usize, &Tensor)| {
            if j == m { input.shallow_clone() } else { input * f64::NAN }
        };
        let inputs: Vec<_> =
            batch.inputs().iter().map(Input::first).enumerate().map(only).collect();
        let other = Batch::new(inputs, batch.targets().copy());
        assert!(
            student.encode(m, &other, false).unwrap().equal(own),
            "an encoder reads only its own input"
        );
        assert!(own.requires_grad(), "features have gradients unless the trainer disables them");
    }
    let logits = student.fuse(&features, false).unwrap();
    assert_eq!(logits.size(), [rows, CLASSES]);
    for m in 0..k {
        if let Some(head) = student.unimodal_logits(m, &features).unwrap() {
            assert_eq!(head.size(), logits.size());
        }
    }
    let distilled = student.distilled_features(&features).unwrap();
    assert_eq!(distilled.len(), k);
    for distilled in &distilled {
        assert!(distilled.requires_grad() && distilled.size()[0] == rows);
    }
    let _no_grad = tch::no_grad_guard();
    assert!(!fuse(student, &encode(batch), batch, true).requires_grad());
}

#[test]
fn the_students_of_the_tests_keep_the_contract() {
    for k in [2, 3, 5] {
        for student in [Tiny::linear(k), Tiny::conv(k)] {
            contract(&student, &student.batch(4, 0.1));
        }
    }
}

#[cfg(feature = "paper")]
#[test]
fn fusion_classifiers_keep_the_contract() {
    use crate::support::{names, wave};
    use FusionKind::{Concat, Film, Gated, Late, Sum};
    use g2d::paper::networks::{ClassifierConfig, FusionClassifier, FusionKind};
    use tch::{Device, Kind, nn};

    let channels: Vec<_> = names(2).into_iter().zip([1, 3]).collect();
    let input = |channels| wave(0.3, &[4, channels, 12, 12]).to_kind(Kind::Float);
    let targets = Tensor::zeros([4], (Kind::Int64, Device::Cpu));
    let batch = Batch::new([input(1), input(3)], targets);
    for fusion in [Sum, Concat, Late, Film, Gated] {
        let vs = nn::VarStore::new(Device::Cpu);
        let config = ClassifierConfig { fusion, ..Default::default() };
        let student = FusionClassifier::new(&vs, &channels, CLASSES, config).unwrap();
        contract(&student, &batch);
        student.encoder_params(&vs).unwrap();
    }
}
