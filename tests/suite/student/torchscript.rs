//! TorchScript students against PyTorch: gradients, variables, modes, files in both directions.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use g2d::{
    Batch, Error, Features, G2dTrainer, ModalityParams, Result, Student,
    batch::Input,
    evaluate,
    loss::Classification,
    student::TorchScript,
    torchscript::{Method, Module},
    trainer::SuppressedMode,
    weights,
};
use tch::{
    Device, Kind, Tensor,
    nn::{self, OptimizerConfig, VarStore},
};

use crate::support::{
    FixedKappa, KappaPerStep, assert_error, assert_mismatch, gradients, python, script, stdout,
    values,
};

const STEPS: i64 = 5;

/// The folder that tests/python/student.py has written; `None` without Python.
fn files() -> Option<tempfile::TempDir> {
    let mut python = python()?;
    let folder = tempfile::tempdir().unwrap();
    stdout(python.arg(script("student.py")).arg("write").arg(folder.path()));
    Some(folder)
}

fn tensors(folder: &Path, name: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(folder.join(name).with_extension("safetensors"))
        .unwrap()
        .into_iter()
        .collect()
}

/// Batches of audio, and of token ids with a mask.
fn batches(folder: &Path) -> Vec<Batch> {
    let all = tensors(folder, "batches");
    let batch = |step| {
        let part = |name: &str| all[name].get(step);
        let text = Input::new("mask", part("mask")).with("ids", part("ids"));
        Batch::new([Input::from(part("audio")), text], part("labels"))
    };
    (0..STEPS).map(batch).collect()
}

/// All parts as methods of one module, whose names in Python are those in the `VarStore`.
fn from_one_file(folder: &Path, vs: &VarStore) -> Result<(TorchScript, Module)> {
    let model = Module::load(folder.join("model.pt"), vs.root())?;
    let student = TorchScript::builder()
        .encoder("audio", model.method("encode_audio")?)
        .encoder("text", model.method("encode_text")?)
        .inputs("text", ["ids", "mask"])
        .head("audio", model.method("predict_audio")?)
        .head("text", model.method("predict_text")?)
        .feature_shape("audio", [4])
        .fusion(model.method("fuse")?)
        .build()?;
    Ok((student, model))
}

/// A module per encoder, one of them traced, and one for the fusion, which takes a list.
fn from_several_files(folder: &Path, vs: &VarStore) -> Result<TorchScript> {
    let load = |name: &str| {
        Module::load(folder.join(name).with_extension("pt"), vs.root() / name)?.method("forward")
    };
    TorchScript::builder()
        .encoder("audio", load("audio")?)
        .encoder("text", load("text")?)
        .inputs("text", ["ids", "mask"])
        .fusion(load("fusion")?)
        .build()
}

fn params(vs: &VarStore) -> ModalityParams {
    ModalityParams::by_prefix(vs, [("audio", "audio"), ("text", "text")]).unwrap()
}

fn assert_equal(found: &Tensor, expected: &Tensor, name: &str) {
    assert_eq!((found.size(), found.kind()), (expected.size(), expected.kind()), "{name}");
    let difference = (found - expected).abs().max().to_kind(Kind::Double).double_value(&[]);
    assert!(difference <= 1e-12, "{name}: {difference}");
}

/// Trains as tests/python/student.py does, and compares every gradient and every variable.
fn assert_trains_like_pytorch(student: &TorchScript, vs: &VarStore, folder: &Path) {
    let expected = tensors(folder, "steps");
    let builder = G2dTrainer::builder(Classification::default());
    let mut trainer = builder.encoders(params(vs)).build(student).unwrap();
    let mut optimizer = nn::sgd(0.9, 0.0, 0.0, false).build(vs, 0.1).unwrap();
    for (step, batch) in batches(folder).iter().enumerate() {
        optimizer.zero_grad();
        trainer.step(student, batch).unwrap();
        let mut compared = 0;
        for (name, tensor) in vs.variables() {
            let gradient = tensor.grad();
            match expected.get(&format!("gradient{step}.{name}")) {
                Some(expected) => {
                    assert_equal(&gradient, expected, &format!("gradient of {name}, {step}"));
                    compared += 1;
                }
                // The second name of a tied weight, which PyTorch lists once.
                None if name == "text.again.weight" => assert!(gradient.defined()),
                None => assert!(!gradient.defined(), "{name} has a gradient"),
            }
        }
        assert_eq!(compared, 11, "of the tensors that learn, without the heads");
        optimizer.step();
        for (name, tensor) in vs.variables() {
            let expected = &expected[&format!("variable{step}.{name}")];
            assert_equal(&tensor, expected, &format!("{name} after step {step}"));
        }
    }
}

#[test]
fn methods_of_one_module_train_like_pytorch_and_go_back() {
    let Some(folder) = files() else { return };
    let folder = folder.path();
    let vs = VarStore::new(Device::Cpu);
    let (student, model) = from_one_file(folder, &vs).unwrap();
    let frozen = &vs.variables()["audio.scale"];
    assert!(!frozen.requires_grad());
    assert_trains_like_pytorch(&student, &vs, folder);

    let expected = &tensors(folder, "steps")["logits"];
    let predictions = evaluate(&student, batches(folder).into_iter().take(1).map(Ok)).unwrap();
    assert_equal(&predictions.logits, expected, "logits");
    assert_eq!(predictions.heads.len(), 2);
    weights::save(&vs, folder.join("trained.safetensors")).unwrap();
    model.save(folder.join("trained.pt")).unwrap();
    stdout(python().unwrap().arg(script("student.py")).arg("read").arg(folder));
    for (name, logits) in tensors(folder, "read") {
        assert_equal(&logits, expected, &format!("logits of {name} in PyTorch"));
    }
    // A step after writing is in training mode again.
    let before = vs.variables()["audio.net.1.running_mean"].copy();
    let _ = student.encode(0, &batches(folder)[0], true).unwrap();
    assert_ne!(vs.variables()["audio.net.1.running_mean"], before);
}

#[test]
fn modules_of_several_files_train_like_pytorch() {
    let Some(folder) = files() else { return };
    let vs = VarStore::new(Device::Cpu);
    let student = from_several_files(folder.path(), &vs).unwrap();
    assert_trains_like_pytorch(&student, &vs, folder.path());
}

#[test]
fn the_mode_of_a_suppressed_encoder_is_its_own_within_one_module() {
    let Some(folder) = files() else { return };
    for (mode, changes) in [(SuppressedMode::Evaluation, false), (SuppressedMode::Train, true)] {
        let vs = VarStore::new(Device::Cpu);
        let (student, _) = from_one_file(folder.path(), &vs).unwrap();
        let builder = G2dTrainer::builder(Classification::default()).encoders(params(&vs));
        let builder = builder.scheduler(FixedKappa(vec![0.0, 1.0])).suppressed_mode(mode);
        let mut trainer = builder.build(&student).unwrap();
        let before = values(&vs);
        for batch in batches(folder.path()) {
            trainer.step(&student, &batch).unwrap();
        }
        let (found, learned) = (values(&vs), gradients(&vs));
        for name in ["audio.net.1.running_mean", "audio.net.1.num_batches_tracked"] {
            assert_eq!(found[name] != before[name], changes, "{name}");
        }
        assert!(learned.keys().all(|name| !name.starts_with("audio.")));
        assert!(learned.contains_key("text.out.weight"));
    }
}

/// TorchScript specialises a method to what it saw in its first calls, such as inputs without gradient.
#[test]
fn gradients_are_right_while_encoders_are_suppressed_in_turn() {
    let Some(folder) = files() else { return };
    let vs = VarStore::new(Device::Cpu);
    let (student, _) = from_one_file(folder.path(), &vs).unwrap();
    let kappa = KappaPerStep(vec![vec![0.0, 1.0], vec![1.0, 0.0], vec![1.0, 1.0]]);
    let builder = G2dTrainer::builder(Classification::default()).encoders(params(&vs));
    let mut trainer = builder.scheduler(kappa).build(&student).unwrap();
    let mut optimizer = nn::sgd(0.9, 0.0, 0.0, false).build(&vs, 0.1).unwrap();
    let batches = [batches(folder.path()), batches(folder.path())].into_iter().flatten();
    for (step, batch) in batches.enumerate() {
        // The same weights in a module that has never run.
        let fresh = VarStore::new(Device::Cpu);
        let (other, _) = from_one_file(folder.path(), &fresh).unwrap();
        for (name, tensor) in fresh.variables() {
            tch::no_grad(|| tensor.shallow_clone().copy_(&vs.variables()[&name]));
        }
        let builder = G2dTrainer::builder(Classification::default()).encoders(params(&fresh));
        builder.build(&other).unwrap().step(&other, &batch).unwrap();

        optimizer.zero_grad();
        trainer.step(&student, &batch).unwrap();
        let suppressed = ["audio.", "text.", "none"][step % 3];
        let (found, mut expected) = (gradients(&vs), gradients(&fresh));
        expected.retain(|name, _| !name.starts_with(suppressed));
        assert!(found.keys().eq(expected.keys()), "{step}: {:?}", found.keys());
        for (name, gradient) in &found {
            assert_equal(gradient, &expected[name], &format!("gradient of {name}, {step}"));
        }
        optimizer.step();
    }
}

#[test]
fn invalid_parts_are_errors_that_name_the_method() {
    let Some(folder) = files() else { return };
    let path = |name: &str| folder.path().join(name);
    let load = |vs: &VarStore, name: &str| Module::load(path(name), vs.root());
    let vs = VarStore::new(Device::Cpu);
    let model = load(&vs, "model.pt").unwrap();

    let error = assert_mismatch(
        model.method("encode_video"),
        &["model.pt", "a method \"encode_video\"", "encode_audio, encode_text, fuse", "jit.export"],
    );
    assert!(matches!(error, Error::Config(_)));
    let words = ["variable \"audio.", "a new name in the VarStore", "a path of its own"];
    assert_mismatch(load(&vs, "model.pt"), &words);
    assert_error(load(&vs, "steps.safetensors"), &["a TorchScript archive", "weights::load"]);

    let method = |name: &str| model.method(name).unwrap();
    let builder = || TorchScript::builder().encoder("audio", method("encode_audio"));
    let one = builder().fusion(method("fuse")).build();
    assert_mismatch(one, &["modalities of the student", "at least 2"]);
    let both = || builder().encoder("text", method("encode_text"));
    let inputs = both().inputs("text", ["ids"]).fusion(method("fuse")).build();
    assert_mismatch(inputs, &["method \"encode_text\"", "expected 2", "found 1"]);
    let further = both().fusion(method("fuse")).fusion_input("text", "mask").build();
    assert_mismatch(further, &["method \"fuse\"", "expected 2", "found 3"]);
    let narrow = both().fusion(method("predict_audio")).build();
    assert_mismatch(narrow, &["of method \"predict_audio\"", "expected 1", "found 2"]);
    let head = both().head("video", method("predict_audio")).fusion(method("fuse")).build();
    assert_mismatch(head, &["expected one of [\"audio\", \"text\"]", "found \"video\""]);
    assert_mismatch(both().build(), &["a call of `fusion`"]);
    assert_mismatch(TorchScript::builder().fusion(method("fuse")).build(), &["of `encoder`"]);

    // Without `inputs`, all tensors of the input, in the order of the batch: here mask and ids.
    let student = both().fusion(method("fuse")).build().unwrap();
    let batch = &batches(folder.path())[0];
    let words = ["method \"encode_text\"", "model.pt", "[6, 4] Double, [6, 4] Int64"];
    let error = assert_error(student.encode(1, batch, true), &words);
    assert!(matches!(error, Error::Torch { .. }));
    let features = [
        Tensor::zeros([6, 4], (Kind::Double, Device::Cpu)),
        Tensor::zeros([1], (Kind::Double, Device::Cpu)),
    ];
    let features = Features::new(&features, batch).unwrap();
    assert_error(student.fuse(&features, true), &["method \"fuse\"", "[6, 4] Double, [1] Double"]);

    let invalid = Module::load(path("invalid.pt"), vs.root() / "invalid").unwrap();
    let call = |name: &str, columns: i64| {
        let input = Tensor::zeros([2, columns], (Kind::Double, Device::Cpu));
        invalid.method(name)?.call(&[input], true)
    };
    let _ = call("forward", 5).unwrap();
    assert_error(call("forward", 4), &["method \"forward\"", "ValueError", "five columns"]);
    assert_mismatch(
        call("pair", 5),
        &["value of method \"pair\"", "a tensor", "Tuple[Tensor, Tensor]"],
    );
    assert_mismatch(call("text", 5), &["value of method \"text\"", "a value of type str"]);
    let two = Tensor::zeros([2, 5], (Kind::Double, Device::Cpu));
    let call =
        invalid.method("forward").and_then(|method: Method| method.call(&[&two, &two], true));
    assert_mismatch(call, &["number of inputs of method \"forward\"", "expected 1", "found 2"]);
}

#[test]
fn a_file_that_is_missing_or_no_archive_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let vs = VarStore::new(Device::Cpu);
    let path: PathBuf = folder.path().join("model.pt");
    assert!(matches!(Module::load(&path, vs.root()), Err(Error::Io { .. })));
    std::fs::write(&path, "PK\x03\x04 cut").unwrap();
    assert_error(Module::load(&path, vs.root()), &["model.pt", "a TorchScript archive"]);
    assert!(vs.is_empty());
}
