//! Names of PyTorch's wrappers in files of weights.

use std::{collections::HashMap, path::Path};

use g2d::weights;
use tch::{Device, Kind, Tensor, nn, nn::VarStore};

use super::{read, store, write};
use crate::support::{assert_mismatch, assert_same, python, script, stdout, values};

/// The tensors of `saved` in a file, under names changed by `rename`.
fn renamed(
    saved: &VarStore,
    path: &Path,
    rename: impl Fn(&str) -> String,
) -> HashMap<String, Tensor> {
    weights::save(saved, path).unwrap();
    read(path).into_iter().map(|(name, tensor)| (rename(&name), tensor)).collect()
}

#[test]
fn names_of_wrappers_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let saved = store();
    let assert_loads = |rename: &dyn Fn(&str) -> String| {
        write(&path, renamed(&saved, &path, rename));
        let mut loaded = store();
        weights::load(&mut loaded, &path).unwrap();
        assert_same(&values(&saved), &values(&loaded));
    };
    for prefix in [
        "",
        "module.",
        "_orig_mod.",
        "model.",
        "_orig_mod.module.",
        "module._orig_mod.model.",
        "model._fsdp_wrapped_module._checkpoint_wrapped_module.",
    ] {
        assert_loads(&|name| format!("{prefix}{name}"));
        for inner in ["module", "_orig_mod", "_checkpoint_wrapped_module"] {
            assert_loads(&|name| {
                format!("{prefix}{}", name.replace("fc.", &format!("fc.{inner}.")))
            });
        }
    }
}

#[test]
fn only_a_foreign_tensor_is_named_beside_wrapped_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut vs = store();
    let before = values(&vs);
    for (foreign, is_error) in [
        ("module.n_averaged", false),
        ("n_averaged", false),
        ("loss.weight", true),
        ("model.n_averaged", true),
        ("module.extra", true),
    ] {
        let mut tensors = renamed(&store(), &path, |name| format!("module.{name}"));
        tensors.insert(foreign.into(), Tensor::from(3_i64));
        write(&path, tensors);
        let loaded = weights::load(&mut store(), &path);
        if is_error {
            let unexpected = format!("1 unexpected: {foreign} ([] I64)");
            let words =
                ["without the prefix \"module.\": ", &unexpected, "leave the unexpected tensors"];
            let error = assert_mismatch(loaded, &words).to_string();
            assert!(!error.contains("missing"), "{error}");
        } else {
            loaded.unwrap();
        }
    }
    // A counter of averages without averaged weights is foreign.
    let mut tensors = renamed(&store(), &path, str::to_owned);
    tensors.insert("n_averaged".into(), Tensor::from(3_i64));
    write(&path, tensors);
    assert_mismatch(weights::load(&mut vs, &path), &["1 unexpected: n_averaged"]);
    assert_same(&values(&vs), &before);
}

#[test]
fn several_candidates_for_a_tensor_are_an_error_that_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut vs = store();
    let before = values(&vs);
    for (first, second) in [("", "model."), ("model.", "module."), ("module.", "_orig_mod.module.")]
    {
        let mut tensors = renamed(&store(), &path, |name| format!("{first}{name}"));
        tensors.extend(renamed(&store(), &path, |name| format!("{second}{name}")));
        write(&path, tensors);
        let names = [first, second].map(|prefix| format!("{prefix}bn.bias"));
        let words = ["tensor \"bn.bias\"", "one candidate", "2: ", &names[0], &names[1]];
        assert_mismatch(weights::load(&mut vs, &path), &words);
    }
    // One layer twice.
    let mut tensors = renamed(&store(), &path, |name| name.replace("fc.", "fc.module."));
    tensors.insert("fc._orig_mod.bias".into(), Tensor::zeros([2], (Kind::Float, Device::Cpu)));
    write(&path, tensors);
    let words = ["tensor \"fc.bias\"", "2: fc._orig_mod.bias, fc.module.bias"];
    assert_mismatch(weights::load(&mut vs, &path), &words);
    assert_same(&values(&vs), &before);
}

#[test]
fn layers_of_the_network_that_are_called_like_wrappers_keep_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let store = || {
        let vs = VarStore::new(Device::Cpu);
        for name in ["fc", "model.fc", "module.fc", "fc.module"] {
            let layers = name.split('.').fold(vs.root(), |path, layer| path / layer);
            nn::linear(layers, 2, 2, Default::default());
        }
        vs
    };
    let saved = store();
    for prefix in ["", "module.", "model.", "_orig_mod.module."] {
        write(&path, renamed(&saved, &path, |name| format!("{prefix}{name}")));
        let mut loaded = store();
        weights::load(&mut loaded, &path).unwrap();
        assert_same(&values(&saved), &values(&loaded));
    }
}

#[test]
fn the_hint_for_missing_names_follows_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    write(&path, renamed(&store(), &path, |name| format!("net.{name}")));
    let words = ["every name is in the file after \"net.\""];
    assert_mismatch(weights::load(&mut store(), &path), &words);

    let mut larger = VarStore::new(Device::Cpu);
    nn::linear(larger.root() / "audio" / "fc", 3, 2, Default::default());
    nn::batch_norm2d(larger.root() / "audio" / "bn", 2, Default::default());
    nn::linear(larger.root() / "head", 3, 2, Default::default());
    weights::save(&store(), &path).unwrap();
    let words = ["every name of the file is in the VarStore after \"audio.\""];
    assert_mismatch(weights::load(&mut larger, &path), &words);

    let shard = folder.path().join("model-00001-of-00003.safetensors");
    let mut tensors = read(&path);
    tensors.remove("fc.weight");
    write(&shard, tensors);
    let words = ["1 missing: fc.weight", "one of 00003 shards", "join them"];
    assert_mismatch(weights::load(&mut store(), &shard), &words);

    let mut half = store();
    half.half();
    let words = ["here [2] Half, there [2] Float", "to Half, or the network to Float"];
    assert_mismatch(weights::load(&mut half, &path), &words);
}

#[test]
fn a_tensor_that_shares_its_memory_is_read_from_the_one_that_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let header = r#"{"__metadata__":{"module.b":"module.a","format":"pt"},"module.a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    super::formats::write_file(&path, header, &2.5_f32.to_le_bytes());
    for names in [&["a", "b"][..], &["a"]] {
        let mut vs = VarStore::new(Device::Cpu);
        let variables: Vec<_> = names.iter().map(|name| vs.root().zeros(name, &[1])).collect();
        weights::load(&mut vs, &path).unwrap();
        assert!(variables.iter().all(|variable| variable.double_value(&[0]) == 2.5), "{names:?}");
    }
}

#[test]
fn files_of_the_wrappers_of_pytorch_load() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let names = stdout(python.arg(script("wrappers.py")).arg(folder.path()));
    assert_eq!(names.lines().count(), 10, "{names}");
    let file = |name: &str| folder.path().join(name).with_extension("safetensors");
    let mut plain = store();
    weights::load(&mut plain, file("plain")).unwrap();
    for name in names.lines() {
        let mut loaded = store();
        weights::load(&mut loaded, file(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_same(&values(&plain), &values(&loaded));
    }
}
