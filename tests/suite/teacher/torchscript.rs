//! TorchScript teachers against PyTorch: every form of output, and invalid modules.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use g2d::{
    Batch, Error, Teacher,
    batch::Input,
    teacher::{ScriptOutput, TorchScript, cache::Digest},
};
use tch::{Device, Kind, Tensor};

use crate::support::{assert_error, assert_mismatch, labels, python, script, stdout, wave};

/// The folder that tests/python/torchscript.py has written, once for all tests of this process;
/// `None` without Python.
pub fn files() -> Option<&'static Path> {
    static FILES: OnceLock<Option<PathBuf>> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let mut python = python()?;
        // In the target folder, since a static is never dropped; one per process, so that
        // concurrent runs of the tests do not write the same files.
        let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("torchscript");
        fs::create_dir_all(&parent).unwrap();
        let folder = tempfile::Builder::new().tempdir_in(parent).unwrap().keep();
        stdout(python.arg(script("torchscript.py")).arg(&folder));
        Some(folder)
    });
    files.as_deref()
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

/// The largest difference from PyTorch's output, relative to the largest element.
fn difference(teacher: &TorchScript, name: &str, input: &str) -> f64 {
    let (output, expected) = (teacher.output(0, &batch(input)).unwrap(), tensors("outputs"));
    let parts = [("features", output.features), ("logits", output.logits)];
    let differences = parts.map(|(part, found)| {
        let expected = expected[&format!("{name}.{part}")].to_kind(Kind::Double);
        assert!(!found.requires_grad() && found.size() == expected.size());
        let largest = (found.to_kind(Kind::Double) - &expected).abs().max().double_value(&[]);
        largest / expected.abs().max().double_value(&[])
    });
    differences[0].max(differences[1])
}

#[test]
fn every_form_of_output_agrees_with_pytorch() {
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
        let difference = difference(&teacher, name, "double");
        assert!(difference <= 1e-6, "{name}: {difference}");
    }
}

#[test]
fn modules_in_sixteen_bits_have_float_inputs_and_outputs() {
    if files().is_none() {
        return;
    }
    for name in ["half", "bfloat16", "frozen_half"] {
        let teacher = load(name);
        let teacher = if name == "frozen_half" { teacher.input_kind(Kind::Half) } else { teacher };
        let output = teacher.output(0, &batch("float")).unwrap();
        assert_eq!((output.features.kind(), output.logits.kind()), (Kind::Float, Kind::Float));
        assert!(difference(&teacher, name, "float") <= 1e-6, "{name}");
    }
}

#[test]
fn an_input_of_a_wrong_dtype_is_an_error_that_names_one_that_works() {
    if files().is_none() {
        return;
    }
    let words = ["input of TorchScript teacher \"m0\"", "dtype", "`input_kind(Kind::Half)`"];
    let found = ["expected Half, on which \"forward\" runs", "found Float"];
    for name in ["frozen_half", "mixed"] {
        let words = [&words[..], &found].concat();
        let error = assert_mismatch(load(name).output(0, &batch("float")), &words);
        assert!(matches!(error, Error::Kind(_)), "{error}");
        assert_mismatch(load(name).tried_on(batch("float").input(0)), &words);
    }
    load("mixed").input_kind(Kind::Half).tried_on(batch("float").input(0)).unwrap();

    let words = ["found Float", "convert the inputs of the batches to Int64"];
    assert_mismatch(load("words").output(0, &batch("float")), &words);
    let integers = Batch::new(
        [Tensor::ones([6, 5], (Kind::Int64, Device::Cpu))],
        Tensor::arange(6, (Kind::Int64, Device::Cpu)),
    );
    load("words").output(0, &integers).unwrap();
    let words = ["found Int64", "convert the inputs of the batches to Double"];
    assert_mismatch(load("pair").output(0, &integers), &words);
    // An error about something else has no hint about dtypes.
    let error = assert_error(load("raises").output(0, &batch("double")), &["seven columns"]);
    assert!(matches!(error, Error::Torch { .. }), "{error}");
}

#[test]
fn an_output_that_is_not_finite_is_an_error_with_its_cause() {
    if files().is_none() {
        return;
    }
    let input = batch("double").input(0).shallow_clone();
    let assert_cause = |name: &str, input: &Tensor, cause: &str| {
        let error = assert_mismatch(load(name).tried_on(input), &["NaN or infinity", cause]);
        assert!(matches!(error, Error::NonFinite(_)), "{error}");
        assert!(!error.to_string().contains("eval"), "{error}");
    };
    assert_cause("nan_weight", &input, "parameter \"net.weight\" is not finite");
    assert_cause("nan_buffer", &input, "a buffer (such as `running_var`) is not");
    let wrong = &input + Tensor::from(f64::INFINITY);
    assert_cause("pair", &wrong, "the trial input is not finite");
}

#[test]
fn another_form_of_output_is_an_error_that_describes_it() {
    if files().is_none() {
        return;
    }
    let assert_invalid = |name: &str, form: ScriptOutput, words: &[&str]| {
        let found = load(name).output_form(form).output(0, &batch("double"));
        let error = assert_mismatch(found, &[&["m0", "ScriptOutput"], words].concat());
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
        assert!(matches!(error, Error::Config(_)), "{error}");
    };
    let pair = "a pair (features, logits)";
    assert_invalid(
        "method",
        ScriptOutput::Automatic,
        &[pair, "a tensor [6, 3] Double", "::Method"],
    );
    assert_invalid("nothing", ScriptOutput::Automatic, &[pair, "None"]);
    assert_invalid("empty", ScriptOutput::Automatic, &[pair, "a list of 0"]);
    assert_invalid("one", ScriptOutput::Pair, &[pair, "a tuple of 1: a tensor [6, 5] Double"]);
    assert_invalid("nothing", renamed(), &["a dict", "None"]);
    assert_invalid("complex", ScriptOutput::Automatic, &["a type that tch does not read"]);
    assert_invalid(
        "three",
        ScriptOutput::Automatic,
        &[pair, "a tuple of 3: a tensor [6, 4] Double, "],
    );
    assert_invalid("text", ScriptOutput::Automatic, &[pair, "the string \"cat\""]);
    assert_invalid("number", ScriptOutput::Pair, &["a tensor of logits", "the int 3"]);
    assert_invalid(
        "named",
        ScriptOutput::Pair,
        &[pair, "a dict of 3", "\"features\" → a tensor [6, 4]"],
    );
    let keys = "a dict with the keys \"features\" and \"logits\"";
    assert_invalid("renamed", ScriptOutput::Automatic, &[keys, "a dict of 2", "\"embedding\" →"]);
    assert_invalid("pair", renamed(), &["\"embedding\" and \"scores\"", "a tuple of 2", "::Pair"]);
    assert_invalid("renamed", ScriptOutput::Pair, &[pair, "a dict of 2", "::Dict"]);
    // `forward` is a method too, but its output is no features.
    let forward = ScriptOutput::Method("forward".into());
    assert_invalid("three", forward, &["a tensor of features", "a tuple of 3"]);
}

#[test]
fn a_missing_method_or_an_input_of_a_wrong_shape_is_an_error() {
    if files().is_none() {
        return;
    }
    let absent = ScriptOutput::Method("penultimate".into());
    let words = ["a method \"penultimate\"", "torch.jit.export", "preserved_attrs"];
    assert_mismatch(load("method").output_form(absent).output(0, &batch("double")), &words);

    let words = ["a method \"forward\"", "define `forward`"];
    assert_mismatch(load("no_forward").output(0, &batch("double")), &words);
    let words = ["a method \"forward\" of one input", "argument 'y'", "wrap the module"];
    assert_mismatch(load("two_inputs").output(0, &batch("double")), &words);
    let (x, y) = (wave(0.0, &[6, 5]), wave(1.0, &[6, 3]));
    let both = || Input::new("ids", x.shallow_clone()).with("mask", y.shallow_clone());
    let two = load("two_inputs").tried_on(both()).unwrap();
    let output = two.output(0, &Batch::new([both()], labels(6))).unwrap();
    assert!(output.features.equal(&x) && output.logits.equal(&y));
    let three = both().with("more", x.shallow_clone());
    let words = ["a method \"forward\" of 3 inputs"];
    assert_mismatch(two.output(0, &Batch::new([three], labels(6))), &words);
    let nul = ScriptOutput::Method("a\0b".into());
    assert_error(load("method").output_form(nul).output(0, &batch("double")), &["m0"]);
    let words = ["a tensor of features", "[6, 5]", "a dtype that tch does not have"];
    assert_mismatch(load("unsigned").output(0, &batch("double")), &words);
    let words = ["a tensor of features", "a tuple of 2: a tensor [6, 5] of a dtype that"];
    let forward = ScriptOutput::Method("forward".into());
    assert_mismatch(load("unsigned").output_form(forward).output(0, &batch("double")), &words);

    let wide = Batch::new(
        [Tensor::zeros([2, 6], (Kind::Double, Device::Cpu))],
        Tensor::from_slice(&[0_i64, 1]),
    );
    let words =
        ["run \"forward\" on a tensor [2, 6] Double", "mat1 and mat2 shapes cannot be multiplied"];
    let error = assert_error(load("pair").output(0, &wide), &words);
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    assert_mismatch(load("pair").output(1, &wide), &["index of a modality", "below 1", "found 1"]);
}

#[test]
fn tried_on_finds_modules_in_training_mode_and_flat_logits() {
    if files().is_none() {
        return;
    }
    let input = batch("double").input(0).shallow_clone();
    assert_error(load("traced_in_training").tried_on(&input), &[]);
    let words = ["features", "different values in two calls", "dropout", ".eval()"];
    assert_mismatch(load("dropout_in_training").tried_on(input.repeat([50, 1])), &words);
    assert_mismatch(load("flat").tried_on(&input), &["logits", "[6, C]", "[6]"]);
    assert_mismatch(load("pair").tried_on(input.narrow(0, 0, 1)), &["at least two", "[1, 5]"]);
    assert_mismatch(load("pair").tried_on(Tensor::from(1.0)), &["at least two", "[]"]);
    assert_mismatch(load("no_columns").tried_on(&input), &["features", "at least one", "[6, 0]"]);
    assert_mismatch(load("labels").tried_on(&input), &["logits", "Int64", "not labels"]);
}

#[test]
fn a_file_that_is_no_torchscript_archive_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: PathBuf, device| TorchScript::load("m0", path, device);
    let error =
        assert_error(load(folder.path().join("absent.pt"), Device::Cpu), &["absent.pt", "read"]);
    assert!(matches!(error, Error::Io { .. }));
    for (name, content, found) in [
        ("empty", &b""[..], ["an empty file", "a complete copy"]),
        ("text", b"weights", ["bytes of another format", "torch.jit.trace"]),
        ("zip", b"PK\x03\x04cut", ["a zip archive without its end", "a complete copy"]),
        ("pointer", b"version https://git-lfs.github.com/spec/v1", ["LFS pointer", "git lfs pull"]),
        ("page", b"\n<!DOCTYPE html>", ["an HTML page", "download"]),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let words = ["a TorchScript archive", found[0], found[1]];
        let error = assert_mismatch(load(path, Device::Cpu), &words);
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
    assert_error(load(folder.path().to_owned(), Device::Cpu), &["read"]);
    if tch::Cuda::device_count() == 0 {
        let error =
            assert_mismatch(load(folder.path().join("text"), Device::Cuda(0)), &["m0", "CUDA"]);
        assert!(matches!(error, Error::Device(_)));
    }
    let Some(files) = files() else { return };
    for (name, words) in [
        ("weights.pt", ["found a file of `torch.save`", "torch.jit.trace"]),
        ("module.pt", ["found a file of `torch.save`", "torch.jit.trace"]),
        ("legacy.pt", ["`torch.save` in its legacy format", "torch.jit.trace"]),
        ("exported.pt2", ["an archive of `torch.export`", "torch.jit.trace"]),
        ("arrays.npz", ["a NumPy archive", "torch.jit.trace"]),
        ("inputs.safetensors", ["a safetensors file", "`weights::load`"]),
    ] {
        assert_mismatch(load(files.join(name), Device::Cpu), &words);
    }
    let whole = fs::read(files.join("pair.pt")).unwrap();
    let truncated = folder.path().join("truncated.pt");
    fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    assert_mismatch(
        load(truncated, Device::Cpu),
        &["a zip archive without its end", "a complete copy"],
    );
    assert_ne!(
        Digest::from_file(files.join("pair.pt")).unwrap(),
        Digest::from_file(files.join("traced.pt")).unwrap()
    );
}
