//! Dtypes, sizes and faults of safetensors files, and files of other formats.

use std::{fs, path::Path};

use g2d::{Error, weights};
use tch::{Device, Kind, Tensor, nn::VarStore};

use crate::support::{assert_error, assert_mismatch, python, stdout};

/// Writes a safetensors file with this header, padded as the format recommends.
pub fn write_file(path: &Path, header: &str, payload: &[u8]) {
    let header = format!("{header:width$}", width = header.len().next_multiple_of(8));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.bytes());
    bytes.extend(payload);
    fs::write(path, bytes).unwrap();
}

fn entry(name: &str, dtype: &str, shape: &[usize], offsets: [usize; 2]) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":{offsets:?}}}"#)
}

/// A variable "w" of four zeros.
fn store(kind: Kind) -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    let _ = vs.root().add("w", Tensor::zeros([4], (kind, Device::Cpu)), false);
    vs
}

#[test]
fn every_dtype_of_tch_loads_and_others_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for (dtype, kind, ones) in [
        ("BOOL", Kind::Bool, vec![1; 4]),
        ("I8", Kind::Int8, vec![1; 4]),
        ("F8_E4M3", Kind::Float8e4m3fn, vec![0x38; 4]),
        ("F8_E5M2", Kind::Float8e5m2, vec![0x3c; 4]),
        ("F16", Kind::Half, [0, 0x3c].repeat(4)),
        ("BF16", Kind::BFloat16, [0x80, 0x3f].repeat(4)),
        ("F32", Kind::Float, 1_f32.to_le_bytes().repeat(4)),
        ("F64", Kind::Double, 1_f64.to_le_bytes().repeat(4)),
        ("C64", Kind::ComplexFloat, [0, 0, 0x80, 0x3f, 0, 0, 0, 0].repeat(4)),
    ] {
        let header = format!("{{{}}}", entry("w", dtype, &[4], [0, ones.len()]));
        write_file(&path, &header, &ones);
        let mut vs = store(kind);
        weights::load(&mut vs, &path).unwrap();
        assert_eq!(vs.variables()["w"].to_kind(Kind::Double).sum(Kind::Double), Tensor::from(4.0));
        if kind != Kind::Double {
            let found = weights::load(&mut store(Kind::Double), &path);
            assert_mismatch(found, &["w (here [4] Double, there", &format!("{kind:?}")]);
        }
        // Saved and loaded again.
        weights::save(&vs, &path).unwrap();
        weights::load(&mut store(kind), &path).unwrap();
    }
    for (dtype, bytes) in [("F4", 2), ("F6_E2M3", 3), ("F8_E8M0", 4), ("U16", 8), ("U64", 32)] {
        let header = format!("{{{}}}", entry("w", dtype, &[4], [0, bytes]));
        write_file(&path, &header, &vec![0; bytes]);
        let words = ["w (here [4] Float, there [4] ", dtype, "to the network's dtypes"];
        assert_mismatch(weights::load(&mut store(Kind::Float), &path), &words);
        let words = ["1 unexpected: w ([4] ", dtype];
        assert_mismatch(weights::load(&mut VarStore::new(Device::Cpu), &path), &words);
    }
    write_file(&path, &format!("{{{}}}", entry("w", "F128", &[4], [0, 64])), &[0; 64]);
    let words = ["tensor \"w\" of the unknown dtype \"F128\"", "tensor.float()"];
    assert_mismatch(weights::load(&mut store(Kind::Float), &path), &words);
}

#[test]
fn tensors_without_elements_load() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let vs = || {
        let vs = VarStore::new(Device::Cpu);
        for (name, size) in [("a", &[0][..]), ("b", &[0, 3]), ("c", &[2, 0, 3])] {
            let _ = vs.root().zeros(name, size);
        }
        vs
    };
    weights::save(&vs(), &path).unwrap();
    weights::load(&mut vs(), &path).unwrap();
    // More rows than a tensor can have.
    write_file(&path, &format!("{{{}}}", entry("w", "F32", &[0, 1 << 63], [0, 0])), &[]);
    let words = ["w (here [4] Float, there [0, 9223372036854775808] Float)"];
    assert_mismatch(weights::load(&mut store(Kind::Float), &path), &words);
}

#[test]
fn an_invalid_file_is_an_error_that_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let [a, b] = [entry("a", "F32", &[2], [0, 8]), entry("b", "F32", &[2], [8, 16])];
    for (header, length, words) in [
        (format!("{{{a},{b}}}"), 17, ["found 1 bytes after the last tensor", "appended"]),
        (format!("{{{a},{b}}}"), 12, ["found 12 of the 16 bytes of its tensors", "complete copy"]),
        (
            format!("{{{a},{}}}", entry("a", "F32", &[2], [8, 16])),
            16,
            ["the name \"a\" twice", "a name of its own"],
        ),
        (
            format!("{{\"__metadata__\":{{\"epoch\":3}},{a}}}"),
            8,
            ["3 under \"epoch\" in the metadata, whose values are strings", "dict[str, str]"],
        ),
        (format!("{{\"__metadata__\":7,{a}}}"), 8, ["metadata that are no object: 7", "again"]),
        (format!("{{{a},{}}}", entry("b", "F32", &[2], [4, 12])), 12, ["\"b\" at byte 4", "at 8"]),
        (
            format!("{{{a},{}}}", entry("b", "F32", &[2], [12, 20])),
            20,
            ["\"b\" at byte 12", "at 8"],
        ),
        (format!("{{{}}}", entry("a", "F32", &[3], [0, 8])), 8, ["\"a\" of F32 [3]", "0 to 8"]),
        (format!("{{{}}}", entry("a", "F32", &[2], [8, 0])), 8, ["\"a\" of F32 [2]", "8 to 0"]),
        ("{\"a\":{\"dtype\":\"F32\"}}".into(), 8, ["entry for \"a\"", "missing field `shape`"]),
        ("{\"a\":3}".into(), 8, ["entry for \"a\"", "invalid"]),
        (format!("{{{a}"), 8, ["a header that is not JSON", "EOF"]),
    ] {
        write_file(&path, &header, &vec![0; length]);
        let words = ["a valid safetensors file", words[0], words[1]];
        let error = assert_mismatch(weights::load(&mut store(Kind::Float), &path), &words);
        assert!(matches!(error, Error::Data { .. }), "{error}");
    }
    let whole = fs::read(&path).unwrap();
    for (bytes, words) in [
        (&whole[..20], ["found 12 of the ", "complete copy"]),
        (&whole[..5], ["found 5 bytes", "complete copy"]),
        (&[0xff; 64], ["do not begin with the length of a header", "another format"]),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_mismatch(weights::load(&mut store(Kind::Float), &path), &words);
    }
}

#[test]
fn a_file_of_another_format_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let load = |path: &Path| weights::load(&mut store(Kind::Float), path);
    for (bytes, words) in [
        (&b""[..], ["an empty file", "complete copy"]),
        (b"GGUF\x03\0\0\0\0\0\0\0", ["a GGUF file", "save_file"]),
        (b"\x89HDF\r\n\x1a\n", ["an HDF5 file", "save_file"]),
        (b"\x93NUMPY\x01\0v\0{", ["a NumPy array", "save_file"]),
        (b"\x1f\x8b\x08\0\0\0\0\0", ["a gzip file", "save_file"]),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9", ["`torch.save` in its legacy format", "torch.load"]),
        (b"{\"weight_map\": {}}", ["the index of a sharded checkpoint", "join the shards"]),
        (b"{\"epoch\": 3}", ["JSON text", "save_file"]),
        (b"version https://git-lfs.github.com/spec/v1", ["Git LFS pointer", "git lfs pull"]),
        (b"<html><body>404", ["an HTML page", "download the file itself"]),
        (b"PK\x03\x04", ["a zip archive without its end", "a complete copy"]),
    ] {
        fs::write(&path, bytes).unwrap();
        assert_mismatch(load(&path), &["a valid safetensors file", words[0], words[1]]);
    }
    let error = assert_error(load(folder.path()), &["could not read"]);
    assert!(matches!(error, Error::Io { .. }), "{error}");

    let Some(mut python) = python() else { return };
    let program = "
import sys
import numpy as np, torch
from torch import nn
folder, net = sys.argv[1], nn.Linear(2, 2)
torch.save(net.state_dict(), f'{folder}/state.pt')
torch.save(net, f'{folder}/module.pt')
torch.save({'state_dict': net.state_dict(), 'epoch': 3}, f'{folder}/lightning.ckpt')
torch.save(net.state_dict(), f'{folder}/legacy.pt', _use_new_zipfile_serialization=False)
torch.jit.trace(net, torch.zeros(1, 2)).save(f'{folder}/script.pt')
torch.export.save(torch.export.export(net, (torch.zeros(1, 2),)), f'{folder}/program.pt2')
np.savez(f'{folder}/arrays.npz', weight=np.zeros(3))
";
    stdout(python.args(["-W", "ignore", "-c", program]).arg(folder.path()));
    for (name, words) in [
        ("state.pt", ["a file of `torch.save`", "`state_dict`"]),
        ("module.pt", ["a file of `torch.save`", "`state_dict`"]),
        ("lightning.ckpt", ["a file of `torch.save`", "`state_dict`"]),
        ("legacy.pt", ["`torch.save` in its legacy format", "`torch.load`"]),
        ("script.pt", ["a TorchScript archive", "`teacher::TorchScript`"]),
        ("program.pt2", ["an archive of `torch.export`", "save_file"]),
        ("arrays.npz", ["a NumPy archive", "save_file"]),
    ] {
        assert_mismatch(load(&folder.path().join(name)), &words);
    }
}
