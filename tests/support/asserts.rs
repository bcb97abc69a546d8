//! Snapshots and assertions.

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

/// Do two snapshots hold the same names and the same bits? NaN is NaN.
pub fn same(left: &Snapshot, right: &Snapshot) -> bool {
    let equal = |a: &Tensor, b: &Tensor| a.equal(b) || a.allclose(b, 0.0, 0.0, true);
    left.keys().eq(right.keys()) && left.iter().all(|(name, t)| equal(t, &right[name]))
}

/// The part of a snapshot below `prefix`.
pub fn below(snapshot: &Snapshot, prefix: &str) -> Snapshot {
    let own = |name: &&String| name.starts_with(&format!("{prefix}."));
    snapshot.iter().filter(|(n, _)| own(n)).map(|(n, t)| (n.clone(), t.shallow_clone())).collect()
}

/// Asserts that every number of two tensors agrees to 1e-12 of the larger.
#[track_caller]
pub fn assert_close(left: &Tensor, right: &Tensor) {
    assert_eq!(left.size(), right.size());
    assert!(left.allclose(right, 1e-12, 1e-14, false), "{left:?} against {right:?}");
}

/// Asserts that a number agrees to 1e-12.
#[track_caller]
pub fn assert_number(left: f64, right: f64) {
    approx::assert_relative_eq!(left, right, max_relative = 1e-12, epsilon = 1e-15);
}

/// Asserts that an outcome is an error whose message has all of `words`; returns it.
#[track_caller]
pub fn refused<T>(outcome: Result<T>, words: &[&str]) -> Error {
    let Err(error) = outcome else { panic!("no error; expected one saying {words:?}") };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
    error
}

/// The same for a [`Mismatch`](g2d::error::Mismatch): it also says what was expected and found, and a mend.
#[track_caller]
pub fn mismatch<T>(outcome: Result<T>, words: &[&str]) -> Error {
    let error = refused(outcome, words);
    let (Error::Config(parts)
    | Error::Shape(parts)
    | Error::Kind(parts)
    | Error::Device(parts)
    | Error::Target(parts)
    | Error::NonFinite(parts)
    | Error::Cache(parts)
    | Error::Data { mismatch: parts, .. }) = &error
    else {
        panic!("an error without expected, found and mend: {error}")
    };
    for part in [&parts.what, &parts.expected, &parts.found, &parts.hint] {
        assert!(!part.trim().is_empty(), "an empty part in {parts:?}");
        assert!(error.to_string().contains(part.as_str()), "{part:?} is missing in: {error}");
    }
    error
}

/// The same for an [`Error::Config`].
#[track_caller]
pub fn config<T>(outcome: Result<T>, words: &[&str]) {
    assert!(matches!(mismatch(outcome, words), Error::Config(_)));
}

/// Asserts equal ids, targets and bits of all inputs.
#[track_caller]
pub fn assert_same_batch(left: &Batch, right: &Batch) {
    assert_eq!(left.ids(), right.ids());
    assert!(left.targets().equal(right.targets()));
    for (l, r) in left.inputs().iter().zip(right.inputs()) {
        assert_eq!(l.size(), r.size());
        assert!(l.equal(r), "inputs of {:?} differ", left.ids());
    }
}

/// All numbers within `tolerance` of the expected ones.
#[track_caller]
pub fn assert_near(what: &str, found: &[f32], expected: &[f64], tolerance: f64) -> f64 {
    assert_eq!(found.len(), expected.len(), "{what}");
    let gaps = found.iter().zip(expected).map(|(f, e)| (f64::from(*f) - e).abs());
    let worst = gaps.fold(0.0, f64::max);
    println!("{what}: off by at most {worst:.2e} of {tolerance:.0e}");
    assert!(worst <= tolerance, "{what}: {found:?} against {expected:?}");
    worst
}

/// The message of an error.
pub fn message<T: std::fmt::Debug>(result: Result<T>) -> String {
    result.unwrap_err().to_string()
}

/// Asserts that all elements of a tensor are within 1e-6 of the expected ones.
#[track_caller]
pub fn assert_close_to(tensor: &Tensor, expected: &[f64]) {
    let found = numbers(tensor);
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}");
}

/// The elements of a tensor.
pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()
}
