//! Digests of weights, files and samples.

use std::fs;

use g2d::teacher::cache::Digest;
use tch::{Device, Kind, Tensor, nn};

use crate::support::{Tiny, assert_error};

#[test]
fn the_digest_of_a_file_is_its_sha_256() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abc");
    fs::write(&path, "abc").unwrap();
    // python: hashlib.sha256(b"abc").hexdigest()
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let digest = Digest::from_file(&path).unwrap();
    assert_eq!(digest.to_string(), expected);
    assert_eq!(expected.parse::<Digest>().unwrap(), digest);
    assert_eq!(serde_json::to_string(&digest).unwrap(), format!("{expected:?}"));
    assert_eq!(serde_json::from_str::<Digest>(&format!("{expected:?}")).unwrap(), digest);
    for invalid in ["", "ba78", &expected.to_uppercase(), &format!("{expected}0"), "é"] {
        assert_error(invalid.parse::<Digest>(), &["64 hexadecimal digits"]);
    }
    assert_error(Digest::from_file(folder.path().join("absent")), &["absent"]);
}

#[test]
fn the_digest_of_weights_depends_on_names_shapes_dtypes_and_values() {
    let digest = |vs: &nn::VarStore| Digest::from_weights(vs).unwrap();
    let (a, b) = (Tiny::conv(2), Tiny::conv(2));
    assert_eq!(digest(&a.vs), digest(&b.vs), "the same weights");
    for (name, variable) in b.vs.variables() {
        let before = digest(&b.vs);
        let mut first = variable.detach().flatten(0, -1).get(0);
        let _ = first.fill_(7.5);
        assert_ne!(digest(&b.vs), before, "the digest does not depend on {name}");
    }
    let named = |name: &str, shape: &[i64], kind: Kind| {
        let vs = nn::VarStore::new(Device::Cpu);
        let _ = vs.root().add(name, Tensor::zeros(shape, (kind, Device::Cpu)), false);
        digest(&vs)
    };
    let first = named("a", &[2, 3], Kind::Float);
    assert_eq!(first, named("a", &[2, 3], Kind::Float));
    for (name, shape, kind) in
        [("b", [2, 3], Kind::Float), ("a", [3, 2], Kind::Float), ("a", [2, 3], Kind::Int)]
    {
        assert_ne!(first, named(name, &shape, kind));
    }
}

#[test]
fn the_digest_of_samples_depends_on_their_ids_order_and_targets() {
    let samples = |ids: &[i64], targets: &[i64]| {
        Digest::from_samples(ids, &Tensor::from_slice(targets)).unwrap()
    };
    let first = samples(&[1, 2], &[0, 1]);
    assert_eq!(first, samples(&[1, 2], &[0, 1]));
    assert_ne!(first, samples(&[2, 1], &[0, 1]));
    assert_ne!(first, samples(&[1, 2], &[1, 1]));
    assert_ne!(first, samples(&[1], &[2, 0, 1]));
    assert_ne!(Digest::from_parts(["ab", "c"]), Digest::from_parts(["a", "bc"]));
    assert_ne!(Digest::from_parts(["ab"]), Digest::from_parts(["ab", ""]));
    assert_eq!(Digest::from_parts([first, first]), Digest::from_parts(vec![first; 2]));
}
