//! Teachers from Python: every form of output against PyTorch's numbers, and every wrong one.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use g2d::{
    Batch, Error, Teacher,
    teacher::{ScriptOutput, TorchScript, cache::Digest},
};
use tch::{Device, Kind, Tensor};

use crate::support::{mismatch, python, refused, script, stdout};

/// The folder of what tests/python/torchscript.py wrote, once for all tests of this process; `None`
/// where there is no Python.
pub fn files() -> Option<&'static Path> {
    static FILES: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = FILES.get_or_init(|| {
        let mut python = python()?;
        // In the build's folder, since nothing drops a static. One per process, so that two runs of
        // the tests do not write the same files at once.
        let all = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("torchscript");
        fs::create_dir_all(&all).unwrap();
        let folder = tempfile::Builder::new().tempdir_in(all).unwrap().keep();
        stdout(python.arg(script("torchscript.py")).arg(&folder));
        Some(folder)
    });
    made.as_deref()
}

fn load(name: &str) -> TorchScript {
    let path = files().unwrap().join(name).with_extension("pt");
    TorchScript::load("m0", path, Device::Cpu).unwrap()
}

fn tensors(name: &str) -> HashMap<String, Tensor> {
    let path = files().unwrap().join(name).with_extension("safetensors");
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

fn batch(kind: &str) -> Batch {
    Batch::new(
        [tensors("inputs")[kind].shallow_clone()],
        Tensor::arange(6, (Kind::Int64, Device::Cpu)),
    )
}

fn renamed() -> ScriptOutput {
    ScriptOutput::Dict { features: "embedding".into(), logits: "scores".into() }
}

fn method() -> ScriptOutput {
    ScriptOutput::Method("features".into())
}

/// The largest difference from what PyTorch said, as a share of the largest answer.
fn difference(teacher: &TorchScript, name: &str, input: &str) -> f64 {
    let (said, expected) = (teacher.output(0, &batch(input)).unwrap(), tensors("answers"));
    let parts = [("features", said.features), ("logits", said.logits)];
    let apart = parts.map(|(part, found)| {
        let expected = expected[&format!("{name}.{part}")].to_kind(Kind::Double);
        assert!(!found.requires_grad() && found.size() == expected.size());
        let apart = (found.to_kind(Kind::Double) - &expected).abs().max().double_value(&[]);
        apart / expected.abs().max().double_value(&[])
    });
    apart[0].max(apart[1])
}

#[test]
fn every_form_says_what_pytorch_says() {
    if files().is_none() {
        return;
    }
    let forms = [
        ("pair", ScriptOutput::Automatic),
        ("pair", ScriptOutput::Pair),
        ("both", ScriptOutput::Automatic),
        ("pair_in_training", ScriptOutput::Pair),
        ("traced", ScriptOutput::Automatic),
        ("frozen", ScriptOutput::Automatic),
        ("named", ScriptOutput::Automatic),
        ("traced_dict", ScriptOutput::Automatic),
        ("renamed", renamed()),
        ("method", method()),
        ("traced_method", method()),
        ("frozen_method", method()),
    ];
    for (name, form) in forms {
        let teacher = load(name).output_form(form).tried_on(batch("double").input(0)).unwrap();
        let apart = difference(&teacher, name, "double");
        assert!(apart <= 1e-6, "{name}: {apart}");
    }
}

/// `Float` goes in and out; the module computes in 16 bits.
#[test]
fn modules_in_half_precision() {
    if files().is_none() {
        return;
    }
    for name in ["half", "bfloat16", "frozen_half"] {
        let teacher = load(name);
        let teacher = if name == "frozen_half" { teacher.input_kind(Kind::Half) } else { teacher };
        let said = teacher.output(0, &batch("float")).unwrap();
        assert_eq!((said.features.kind(), said.logits.kind()), (Kind::Float, Kind::Float));
        assert!(difference(&teacher, name, "float") <= 1e-6, "{name}");
    }
    let words = ["run \"forward\"", "[6, 5] Float", "dtype", "m0"];
    refused(load("frozen_half").output(0, &batch("float")), &words);
}

#[test]
fn another_form_is_told_with_what_came() {
    if files().is_none() {
        return;
    }
    let refuses = |name: &str, form: ScriptOutput, words: &[&str]| {
        let found = load(name).output_form(form).output(0, &batch("double"));
        let error = mismatch(found, &[&["m0", "ScriptOutput"], words].concat());
        assert!(matches!(error, Error::Config(_)), "{error}");
    };
    let pair = "a pair (features, logits)";
    refuses("method", ScriptOutput::Automatic, &[pair, "a tensor [6, 3] Double"]);
    refuses("three", ScriptOutput::Automatic, &[pair, "a tuple of 3: a tensor [6, 4] Double, "]);
    refuses("text", ScriptOutput::Automatic, &[pair, "the string \"cat\""]);
    refuses("number", ScriptOutput::Pair, &["a tensor of logits", "the int 3"]);
    refuses("named", ScriptOutput::Pair, &[pair, "a dict of 3", "\"features\" → a tensor [6, 4]"]);
    let keys = "a dict with the keys \"features\" and \"logits\"";
    refuses("renamed", ScriptOutput::Automatic, &[keys, "a dict of 2", "\"embedding\" →"]);
    refuses("pair", renamed(), &["\"embedding\" and \"scores\"", "a tuple of 2"]);
    // `forward` is a method too: what it says is no features.
    let forward = ScriptOutput::Method("forward".into());
    refuses("three", forward, &["a tensor of features", "a tuple of 3"]);
}

#[test]
fn what_does_not_run_says_why() {
    if files().is_none() {
        return;
    }
    let absent = ScriptOutput::Method("penultimate".into());
    let words = ["a method \"penultimate\"", "torch.jit.export", "preserved_attrs"];
    mismatch(load("method").output_form(absent).output(0, &batch("double")), &words);

    let wide = Batch::new(
        [Tensor::zeros([2, 6], (Kind::Double, Device::Cpu))],
        Tensor::from_slice(&[0_i64, 1]),
    );
    let words =
        ["run \"forward\" on a tensor [2, 6] Double", "mat1 and mat2 shapes cannot be multiplied"];
    let error = refused(load("pair").output(0, &wide), &words);
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    mismatch(load("pair").output(1, &wide), &["index of a modality", "below 1", "found 1"]);
}

/// Before training, so that an epoch is not lost.
#[test]
fn trying_finds_a_module_in_training_mode_and_flat_logits() {
    if files().is_none() {
        return;
    }
    let input = batch("double").input(0).shallow_clone();
    refused(load("traced_in_training").tried_on(&input), &[]);
    let words = ["features", "the same values for half of the samples", ".eval()"];
    mismatch(load("dropout_in_training").tried_on(&input.repeat([50, 1])), &words);
    mismatch(load("flat").tried_on(&input), &["logits", "[6, …]", "[6]"]);
    mismatch(load("pair").tried_on(&input.narrow(0, 0, 1)), &["at least two", "[1, 4]"]);
}

#[test]
fn files_that_are_no_torchscript() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: PathBuf, device| TorchScript::load("m0", path, device);
    let error = refused(load(folder.path().join("absent.pt"), Device::Cpu), &["absent.pt", "read"]);
    assert!(matches!(error, Error::Io { .. }));
    let words = ["a TorchScript archive", "torch.jit.trace"];
    for (name, content) in [("empty", &b""[..]), ("text", b"weights"), ("zip", b"PK\x03\x04cut")] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let error = mismatch(load(path, Device::Cpu), &words);
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
    refused(load(folder.path().to_owned(), Device::Cpu), &["read"]);
    if tch::Cuda::device_count() == 0 {
        let error = mismatch(load(folder.path().join("text"), Device::Cuda(0)), &["m0", "CUDA"]);
        assert!(matches!(error, Error::Device(_)));
    }
    let Some(files) = files() else { return };
    mismatch(load(files.join("weights.pt"), Device::Cpu), &["torch.save"]);
    let whole = fs::read(files.join("pair.pt")).unwrap();
    let cut = folder.path().join("cut.pt");
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    mismatch(load(cut, Device::Cpu), &words);
    assert_ne!(
        Digest::from_file(files.join("pair.pt")).unwrap(),
        Digest::from_file(files.join("traced.pt")).unwrap()
    );
}
