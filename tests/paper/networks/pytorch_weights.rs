//! Weights in files from PyTorch and for it.

use std::{collections::HashMap, path::Path};

use g2d::{
    Batch, Modality, Student,
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, FusionKind, Initialisation,
        UnimodalClassifier,
    },
    teacher::UnimodalModel,
    weights,
};
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::support::{fuse, python, script, stdout};

fn read(path: &Path) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

#[test]
fn logits_are_equal_after_loading_weights_from_pytorch_and_after_saving_them_for_it() {
    if python().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str| {
        let mut python = python().unwrap();
        stdout(python.arg(script("weights.py")).arg(command).arg(folder.path()));
    };
    let file = |name: &str| folder.path().join(name).with_extension("safetensors");

    run("save");
    let mut student_vs = VarStore::new(Device::Cpu);
    let modalities = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    let config = ClassifierConfig::authors(FusionKind::Late);
    let student = FusionClassifier::new(&student_vs, &modalities, 6, config).unwrap();
    let mut teacher_vs = VarStore::new(Device::Cpu);
    let init = Initialisation::Authors;
    let teacher = UnimodalClassifier::new(&teacher_vs, 1, 6, Backbone::ResNet18, init).unwrap();
    weights::load(&mut student_vs, file("student")).unwrap();
    weights::load(&mut teacher_vs, file("teacher")).unwrap();

    let logits = || {
        let _no_grad = tch::no_grad_guard();
        let inputs = read(&file("inputs"));
        let inputs = ["audio", "visual"].map(|m| inputs[m].shallow_clone());
        let (_, teacher) = teacher.forward(&inputs[0].shallow_clone().into(), false).unwrap();
        let batch = Batch::new(inputs, Tensor::zeros([4], (Kind::Int64, Device::Cpu)));
        let features = [0, 1].map(|m| student.encode(m, &batch, false).unwrap());
        [("student", fuse(&student, &features, &batch, false)), ("teacher", teacher)]
    };
    let assert_same = |theirs: HashMap<String, Tensor>| {
        for (name, ours) in logits() {
            let difference = (&ours - &theirs[name]).abs().max().double_value(&[]);
            let size = ours.abs().max().double_value(&[]);
            assert!(difference <= 1e-5 * size.max(1.0), "{name}: {difference} of {size}");
        }
    };
    assert_same(read(&file("logits")));

    // Saved weights differ from the loaded ones.
    let _no_grad = tch::no_grad_guard();
    for (name, mut variable) in student_vs.variables().into_iter().chain(teacher_vs.variables()) {
        if !name.contains("running") {
            let _ = variable.f_mul_(&Tensor::from(1.01_f32)).unwrap();
        }
    }
    weights::save(&student_vs, file("student_rs")).unwrap();
    weights::save(&teacher_vs, file("teacher_rs")).unwrap();
    run("load");
    assert_same(read(&file("logits_of_saved")));
}
