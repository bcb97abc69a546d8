//! Parts of files into parts of a `VarStore`, from several formats.

use std::path::{Path, PathBuf};

use g2d::{
    Error,
    weights::{self, LoadOptions},
};
use tch::{Device, Kind, Tensor, nn, nn::VarStore};

use super::{read, store, write};
use crate::support::{Snapshot, assert_mismatch, assert_same, values, with_prefix};

fn linear(vs: &VarStore, path: &str, [inputs, outputs]: [i64; 2]) {
    let path = path.split('.').fold(vs.root(), |path, part| path / part);
    nn::linear(path, inputs, outputs, Default::default());
}

/// An encoder and a head.
fn pretrained(folder: &Path) -> (VarStore, PathBuf) {
    let vs = VarStore::new(Device::Cpu);
    linear(&vs, "encoder.fc", [3, 2]);
    linear(&vs, "encoder.out", [2, 2]);
    linear(&vs, "head", [2, 10]);
    let path = folder.join("pretrained.safetensors");
    weights::save(&vs, &path).unwrap();
    (vs, path)
}

/// Two encoders, the second with a layer that the pretrained one does not have.
fn student() -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    for path in ["audio", "text"] {
        linear(&vs, &format!("{path}.fc"), [3, 2]);
        linear(&vs, &format!("{path}.out"), [2, 2]);
    }
    linear(&vs, "text.adapter", [2, 2]);
    vs
}

/// The values below `root`, by their names without it.
fn below(values: &Snapshot, root: &str) -> Snapshot {
    let own = with_prefix(values, &format!("{root}."));
    own.into_iter().map(|(name, t)| (name[root.len() + 1..].to_owned(), t)).collect()
}

#[test]
fn a_part_of_a_file_loads_into_a_part_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = pretrained(folder.path());
    let mut vs = student();
    let before = values(&vs);
    let report =
        LoadOptions::new().prefix("encoder").into_path("audio").load(&mut vs, &path).unwrap();
    let names = ["audio.fc.bias", "audio.fc.weight", "audio.out.bias", "audio.out.weight"];
    assert_eq!(report.loaded, names);
    assert!(report.kept.is_empty() && report.unused.is_empty(), "{report:?}");
    assert_same(&below(&values(&vs), "audio"), &below(&values(&source), "encoder"));
    assert_same(&with_prefix(&values(&vs), "text."), &with_prefix(&before, "text."));

    // The whole file does not fit, and a wrong prefix or path is an error with what there is.
    assert_mismatch(LoadOptions::new().load(&mut vs, &path), &["missing", "unexpected"]);
    let words = ["prefix \"enc\"", "{\"encoder\", \"head\"}", "whole components"];
    assert_mismatch(
        LoadOptions::new().prefix("enc").into_path("audio").load(&mut vs, &path),
        &words,
    );
    let words = ["path \"video\" of the VarStore", "{\"audio\", \"text\"}"];
    assert_mismatch(LoadOptions::new().into_path("video").load(&mut vs, &path), &words);
}

#[test]
fn partial_loading_reports_what_was_and_what_was_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = pretrained(folder.path());
    let mut vs = student();
    let before = values(&vs);
    let text = || LoadOptions::new().prefix("encoder").into_path("text");
    let words = ["2 missing: adapter.bias, adapter.weight"];
    assert_mismatch(text().load(&mut vs, &path), &words);
    assert_same(&values(&vs), &before);

    let report = text().skip("out").partial().load(&mut vs, &path).unwrap();
    assert_eq!(report.loaded, ["text.fc.bias", "text.fc.weight"]);
    let kept = ["text.adapter.bias", "text.adapter.weight", "text.out.bias", "text.out.weight"];
    assert_eq!(report.kept, kept);
    assert_eq!(report.unused, ["encoder.out.bias", "encoder.out.weight"]);
    let text = report.to_string();
    assert!(
        text.starts_with("2 variables loaded; 4 kept their values: text.adapter.bias"),
        "{text}"
    );
    assert_same(&below(&values(&vs), "text.fc"), &below(&values(&source), "encoder.fc"));
    assert_same(&below(&values(&vs), "text.out"), &below(&before, "text.out"));
}

#[test]
fn partial_loading_refuses_other_shapes_and_a_file_of_which_nothing_fits() {
    let folder = tempfile::tempdir().unwrap();
    let (_, path) = pretrained(folder.path());
    let mut vs = VarStore::new(Device::Cpu);
    linear(&vs, "encoder.fc", [3, 2]);
    linear(&vs, "head", [2, 6]);
    let before = values(&vs);
    let words = ["2 of another shape", "head.bias (here [6] Float, there [10] Float)"];
    let error = assert_mismatch(LoadOptions::new().partial().load(&mut vs, &path), &words);
    assert!(!error.to_string().contains("missing"), "{error}");
    assert_same(&values(&vs), &before);
    let report = LoadOptions::new().partial().skip("head").load(&mut vs, &path).unwrap();
    assert_eq!(report.loaded, ["encoder.fc.bias", "encoder.fc.weight"]);

    let mut other = VarStore::new(Device::Cpu);
    linear(&other, "other", [2, 2]);
    assert_mismatch(
        LoadOptions::new().partial().load(&mut other, &path),
        &["2 missing: other.bias"],
    );
}

#[test]
fn another_precision_is_converted_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let mut half = store();
    half.half();
    weights::save(&half, &path).unwrap();
    let mut vs = store();
    assert_mismatch(LoadOptions::new().load(&mut vs, &path), &["there [2] Half"]);
    LoadOptions::new().convert().load(&mut vs, &path).unwrap();
    for (name, tensor) in values(&vs) {
        assert_eq!(tensor.kind(), Kind::Float);
        assert!(tensor.equal(&half.variables()[&name].to_kind(Kind::Float)), "{name}");
    }
    let mut tensors = read(&path);
    tensors.insert("fc.bias".into(), Tensor::from_slice(&[1_i64, 2]));
    write(&path, tensors);
    let words = ["fc.bias (here [2] Float, there [2] Int64)", "network's dtypes"];
    assert_mismatch(LoadOptions::new().convert().load(&mut vs, &path), &words);
}

#[test]
fn names_of_wrappers_are_removed_after_the_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let saved = store();
    weights::save(&saved, &path).unwrap();
    let wrapped = |(name, tensor)| (format!("net.module.{name}"), tensor);
    write(&path, read(&path).into_iter().map(wrapped).collect());
    let mut vs = store();
    let report = LoadOptions::new().prefix("net").load(&mut vs, &path).unwrap();
    assert_same(&values(&vs), &values(&saved));
    assert!(report.unused.is_empty(), "counters of batches are not listed: {report:?}");
}

#[test]
fn a_file_of_tch_loads_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let saved = store();
    for name in ["weights.ot", "weights.safetensors"] {
        let path = folder.path().join("file");
        saved.save(folder.path().join(name)).unwrap();
        std::fs::rename(folder.path().join(name), &path).unwrap();
        let mut vs = store();
        let report = LoadOptions::new().load(&mut vs, &path).unwrap();
        assert_eq!(report.loaded.len(), 6);
        assert_same(&values(&vs), &values(&saved));
        // A part of it.
        let mut part = VarStore::new(Device::Cpu);
        linear(&part, "text", [3, 2]);
        LoadOptions::new().prefix("fc").into_path("text").load(&mut part, &path).unwrap();
        assert_same(&below(&values(&part), "text"), &below(&values(&saved), "fc"));
    }
}

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/suite/weights/fixtures", name].iter().collect()
}

#[test]
fn a_dict_of_torch_save_loads_and_other_checkpoints_name_the_conversion() {
    let mut vs = store();
    let report = LoadOptions::new().load(&mut vs, fixture("dict.pt")).unwrap();
    assert_eq!((report.loaded.len(), report.unused.len()), (6, 0));
    let found = values(&vs);
    let weight = Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]);
    assert!(found["fc.weight"].equal(&weight));
    assert!(found["bn.running_mean"].equal(&Tensor::from_slice(&[0.5_f32, -0.5])));
    assert!(vs.trainable_variables().iter().all(Tensor::requires_grad));

    for name in ["ordered.pt", "nested.pt"] {
        let mut vs = store();
        let before = values(&vs);
        let words =
            ["named tensors", "a file of `torch.save`", "torch.save(dict(model.state_dict())"];
        let error = assert_mismatch(LoadOptions::new().load(&mut vs, fixture(name)), &words);
        assert!(matches!(error, Error::Data { .. }), "{error}");
        assert_same(&values(&vs), &before);
    }
    // `load` reads safetensors alone.
    assert_mismatch(weights::load(&mut vs, fixture("dict.pt")), &["a valid safetensors file"]);
}

#[test]
fn a_file_of_no_known_format_and_one_that_is_absent_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for (bytes, word) in [(&b"PK\x03\x04"[..], "without its end"), (b"{\"a\": 1}", "JSON text")] {
        std::fs::write(&path, bytes).unwrap();
        assert_mismatch(LoadOptions::new().load(&mut store(), &path), &[word]);
    }
    let error = LoadOptions::new().load(&mut store(), folder.path().join("absent")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}
