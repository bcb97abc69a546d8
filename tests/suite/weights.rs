//! Safetensors files, which are checked before any variable changes.

mod ema;
mod formats;
mod load_options;
mod wrappers;

use std::{collections::HashMap, fs, path::Path};

use g2d::weights;
use tch::{Device, Kind, Tensor, nn, nn::VarStore};

use crate::support::{assert_same, values};

/// A linear layer and a batch norm.
fn store() -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    nn::linear(vs.root() / "fc", 3, 2, Default::default());
    nn::batch_norm2d(vs.root() / "bn", 2, Default::default());
    vs
}

fn read(path: &Path) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

fn write(path: &Path, tensors: HashMap<String, Tensor>) {
    let tensors: Vec<_> = tensors.into_iter().collect();
    Tensor::write_safetensors(&tensors, path).unwrap();
}

#[test]
fn a_saved_file_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let (saved, mut loaded) = (store(), store());
    weights::save(&saved, &path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file is left");
    assert_eq!(read(&path)["bn.num_batches_tracked"].kind(), Kind::Int64);
    weights::load(&mut loaded, &path).unwrap();
    assert_same(&values(&saved), &values(&loaded));
}

#[test]
fn a_file_that_does_not_fit_is_an_error_with_all_differences_and_changes_nothing() {
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
        "1 unexpected: extra ([] F64)",
        "fc.weight (here [2, 3] Float, there [1] Float)",
        "bn.bias (here [2] Float, there [2] Double)",
    ] {
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
    assert_same(&values(&vs), &before);

    weights::save(&store(), &path).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = weights::load(&mut vs, &path).unwrap_err().to_string();
    assert!(error.contains("bytes of its tensors; use a complete copy"), "{error}");
    assert_same(&values(&vs), &before);

    let absent = weights::load(&mut vs, folder.path().join("absent")).unwrap_err();
    assert!(absent.to_string().contains("could not read"), "{absent}");
    let nowhere = weights::save(&vs, folder.path().join("no/folder")).unwrap_err();
    assert!(nowhere.to_string().contains("could not write"), "{nowhere}");
}

#[test]
fn saving_is_atomic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    fs::write(&path, "old").unwrap();
    let vs = VarStore::new(Device::Cpu);
    let complex = Tensor::zeros([2], (Kind::ComplexDouble, Device::Cpu));
    let _ = vs.root().add("complex", complex, false);
    weights::save(&vs, &path).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_variable_that_counts_batches_is_saved_in_place_of_the_counter_of_its_batch_norm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let mut vs = VarStore::new(Device::Cpu);
    let root = vs.root() / "bn";
    nn::batch_norm1d(&root, 3, Default::default());
    let counter = root.add("num_batches_tracked", Tensor::from(7_i64), false);
    weights::save(&vs, &path).unwrap();
    assert_eq!(read(&path)["bn.num_batches_tracked"].int64_value(&[]), 7);
    let _ = counter.shallow_clone().fill_(0);
    weights::load(&mut vs, &path).unwrap();
    assert_eq!(counter.int64_value(&[]), 7);
}
