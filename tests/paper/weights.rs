//! Safetensors files: checked before anything changes, and equal on both sides of PyTorch.

use std::{collections::HashMap, fs, path::Path, process::Command};

use g2d::{
    Batch, Modality, Student,
    paper::networks::{
        Backbone, ClassifierConfig, FusionClassifier, FusionKind, Initialisation,
        UnimodalClassifier,
    },
    weights,
};
use tch::{Device, Kind, Tensor, nn, nn::VarStore};

/// A linear layer and a batch norm.
fn store() -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    nn::linear(vs.root() / "fc", 3, 2, Default::default());
    nn::batch_norm2d(vs.root() / "bn", 2, Default::default());
    vs
}

fn values(vs: &VarStore) -> Vec<(String, Tensor)> {
    let mut values: Vec<_> = vs.variables().into_iter().map(|(name, t)| (name, t.copy())).collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

fn read(path: &Path) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

fn write(path: &Path, tensors: HashMap<String, Tensor>) {
    let tensors: Vec<_> = tensors.into_iter().collect();
    Tensor::write_safetensors(&tensors, path).unwrap();
}

#[test]
fn a_saved_file_loads_again_with_or_without_module() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, parallel) = (folder.path().join("a"), folder.path().join("b"));
    let (saved, mut loaded) = (store(), store());
    weights::save(&saved, &plain).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a part is left behind");
    assert_eq!(read(&plain)["bn.num_batches_tracked"].kind(), Kind::Int64);
    weights::load(&mut loaded, &plain).unwrap();
    assert_eq!(values(&saved), values(&loaded));

    let prefixed = read(&plain).into_iter().map(|(name, t)| (format!("module.{name}"), t));
    write(&parallel, prefixed.collect());
    let mut loaded = store();
    weights::load(&mut loaded, &parallel).unwrap();
    assert_eq!(values(&saved), values(&loaded));
}

#[test]
fn what_does_not_fit_is_told_in_full_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut vs = store();
    let before = values(&vs);
    weights::save(&store(), &path).unwrap();
    let mut tensors = read(&path);
    tensors.remove("fc.bias");
    tensors.insert("fc.weight".into(), Tensor::zeros([1], (Kind::Float, Device::Cpu)));
    tensors.insert("bn.bias".into(), Tensor::zeros([2], (Kind::Double, Device::Cpu)));
    tensors.insert("extra".into(), Tensor::from(1.0));
    write(&path, tensors);
    let error = weights::load(&mut vs, &path).unwrap_err().to_string();
    for part in [
        "1 missing: fc.bias",
        "1 unexpected: extra",
        "fc.weight (here [2, 3] Float, there [1] Float)",
        "bn.bias (here [2] Float, there [2] Double)",
    ] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    assert_eq!(values(&vs), before);

    weights::save(&store(), &path).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = weights::load(&mut vs, &path).unwrap_err().to_string();
    assert!(error.contains("a whole safetensors file"), "{error}");
    assert_eq!(values(&vs), before);

    let absent = weights::load(&mut vs, folder.path().join("absent")).unwrap_err();
    assert!(absent.to_string().contains("could not read"), "{absent}");
    let nowhere = weights::save(&vs, folder.path().join("no/folder")).unwrap_err();
    assert!(nowhere.to_string().contains("could not write"), "{nowhere}");
}

#[test]
fn a_failed_save_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    fs::write(&path, "old").unwrap();
    let vs = VarStore::new(Device::Cpu);
    let complex = Tensor::zeros([2], (Kind::ComplexFloat, Device::Cpu));
    let _ = vs.root().add("complex", complex, false);
    weights::save(&vs, &path).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn pytorch_gives_and_takes_weights_with_equal_logits() {
    let Some(python) = std::env::var_os("G2D_PYTHON") else {
        crate::common::skipped("G2D_PYTHON names no Python with torch and safetensors");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/weights.py");
    let run = |command: &str| {
        let output = Command::new(&python)
            .args(["-B", script, command])
            .arg(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let file = |name: &str| folder.path().join(name).with_extension("safetensors");

    run("give");
    let mut student_vs = VarStore::new(Device::Cpu);
    let modalities = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    let config = ClassifierConfig::authors(FusionKind::Late);
    let student = FusionClassifier::new(&student_vs, &modalities, 6, config).unwrap();
    let mut teacher_vs = VarStore::new(Device::Cpu);
    let init = Initialisation::Authors;
    let teacher = UnimodalClassifier::new(&teacher_vs, 1, 6, Backbone::ResNet18, init).unwrap();
    weights::load(&mut student_vs, file("student")).unwrap();
    weights::load(&mut teacher_vs, file("teacher")).unwrap();

    let answers = || {
        let _no_grad = tch::no_grad_guard();
        let inputs = read(&file("inputs"));
        let inputs = ["audio", "visual"].map(|m| inputs[m].shallow_clone());
        let (_, teacher) = teacher.forward(&inputs[0], false).unwrap();
        let batch = Batch::new(inputs, Tensor::zeros([4], (Kind::Int64, Device::Cpu)));
        let features = [0, 1].map(|m| student.encode(m, &batch, false).unwrap());
        [("student", student.fuse(&features, false).unwrap()), ("teacher", teacher)]
    };
    let same = |theirs: HashMap<String, Tensor>| {
        for (name, ours) in answers() {
            let difference = (&ours - &theirs[name]).abs().max().double_value(&[]);
            let size = ours.abs().max().double_value(&[]);
            assert!(difference <= 1e-5 * size.max(1.0), "{name}: {difference} of {size}");
        }
    };
    same(read(&file("answers")));

    // Other values than those that came, so that the way back is not the way there.
    let _no_grad = tch::no_grad_guard();
    for (name, mut variable) in student_vs.variables().into_iter().chain(teacher_vs.variables()) {
        if !name.contains("running") {
            let _ = variable.f_mul_(&Tensor::from(1.01_f32)).unwrap();
        }
    }
    weights::save(&student_vs, file("student_rs")).unwrap();
    weights::save(&teacher_vs, file("teacher_rs")).unwrap();
    run("take");
    same(read(&file("answers_py")));
}
