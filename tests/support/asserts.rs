//! Snapshots of variables and gradients, and assertions.

use std::collections::BTreeMap;

use g2d::{Batch, Error, Result};
use tch::{Kind, Tensor, nn};

/// Tensors by name.
pub type Snapshot = BTreeMap<String, Tensor>;

/// Copies of every variable, buffers too.
pub fn values(vs: &nn::VarStore) -> Snapshot {
    vs.variables().into_iter().map(|(name, t)| (name, t.detach().copy())).collect()
}

/// Copies of the gradients that are defined.
pub fn gradients(vs: &nn::VarStore) -> Snapshot {
    let grads = vs.variables().into_iter().map(|(name, t)| (name, t.grad()));
    grads.filter(|(_, g)| g.defined()).map(|(name, g)| (name, g.copy())).collect()
}

/// Asserts that two snapshots hold the same names and the same bits.
#[track_caller]
pub fn assert_same(left: &Snapshot, right: &Snapshot) {
    assert!(left.keys().eq(right.keys()), "{:?} against {:?}", left.keys(), right.keys());
    for (name, tensor) in left {
        assert!(tensor.equal(&right[name]), "{name} differs");
    }
}

/// Returns whether two snapshots hold the same names and the same bits; NaN equals NaN.
pub fn is_same(left: &Snapshot, right: &Snapshot) -> bool {
    let equal = |a: &Tensor, b: &Tensor| a.equal(b) || a.allclose(b, 0.0, 0.0, true);
    left.keys().eq(right.keys()) && left.iter().all(|(name, t)| equal(t, &right[name]))
}

/// The tensors of a snapshot whose names begin with `prefix` and a dot.
pub fn with_prefix(snapshot: &Snapshot, prefix: &str) -> Snapshot {
    let own = |name: &&String| name.starts_with(&format!("{prefix}."));
    snapshot.iter().filter(|(n, _)| own(n)).map(|(n, t)| (n.clone(), t.shallow_clone())).collect()
}

/// Asserts that two tensors have the same shape and elements that agree to a relative 1e-12.
#[track_caller]
pub fn assert_close(left: &Tensor, right: &Tensor) {
    assert_eq!(left.size(), right.size());
    assert!(left.allclose(right, 1e-12, 1e-14, false), "{left:?} against {right:?}");
}

/// Asserts that two numbers agree to a relative 1e-12.
#[track_caller]
pub fn assert_number(left: f64, right: f64) {
    approx::assert_relative_eq!(left, right, max_relative = 1e-12, epsilon = 1e-15);
}

/// Asserts that `outcome` is an error whose message contains all of `words`; returns the error.
#[track_caller]
pub fn assert_error<T>(outcome: Result<T>, words: &[&str]) -> Error {
    let Err(error) = outcome else { panic!("no error; expected one with {words:?}") };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
    error
}

/// As [`assert_error`]; the error also has a [`Mismatch`](g2d::error::Mismatch), all of whose parts
/// are in the message.
#[track_caller]
pub fn assert_mismatch<T>(outcome: Result<T>, words: &[&str]) -> Error {
    let error = assert_error(outcome, words);
    let (Error::Config(mismatch)
    | Error::Shape(mismatch)
    | Error::Kind(mismatch)
    | Error::Device(mismatch)
    | Error::Target(mismatch)
    | Error::NonFinite(mismatch)
    | Error::Cache(mismatch)
    | Error::Data { mismatch, .. }) = &error
    else {
        panic!("an error without a mismatch: {error}")
    };
    for part in [&mismatch.what, &mismatch.expected, &mismatch.found, &mismatch.hint] {
        assert!(!part.trim().is_empty(), "an empty part in {mismatch:?}");
        assert!(error.to_string().contains(part.as_str()), "{part:?} is missing in: {error}");
    }
    error
}

/// As [`assert_mismatch`]; the error is an [`Error::Config`].
#[track_caller]
pub fn assert_config_error<T>(outcome: Result<T>, words: &[&str]) {
    assert!(matches!(assert_mismatch(outcome, words), Error::Config(_)));
}

/// Asserts that two batches have the same ids, targets and inputs, bit by bit.
#[track_caller]
pub fn assert_same_batch(left: &Batch, right: &Batch) {
    assert_eq!(left.ids(), right.ids());
    assert!(left.targets().equal(right.targets()));
    for (l, r) in left.inputs().iter().zip(right.inputs()) {
        assert_eq!(l.size(), r.size());
        assert!(l.equal(r), "inputs of {:?} differ", left.ids());
    }
}

/// Asserts that every number is within `tolerance` of the expected one; prints the largest
/// difference.
#[track_caller]
pub fn assert_near(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let differences = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).abs());
    let largest = differences.fold(0.0, f64::max);
    println!("{what}: largest difference {largest:.2e}, tolerance {tolerance:.0e}");
    assert!(largest <= tolerance, "{what}: {found:?} against {expected:?}");
}

/// Asserts that all elements of a tensor are within 1e-6 of the expected ones.
#[track_caller]
pub fn assert_elements(tensor: &Tensor, expected: &[f64]) {
    let found = elements(tensor);
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}");
}

/// The elements of a tensor.
pub fn elements(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()
}
