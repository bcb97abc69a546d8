//! Panics inside a model as errors.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tch::Tensor;

use crate::error::{Error, Result};
use crate::libtorch::Modes;

/// Runs a part of a model. Returns a panic as [`Error::Panic`] in `part`, which got `inputs`, and
/// restores the gradient mode and autocast that were in effect before.
pub(crate) fn caught<T>(
    part: impl FnOnce() -> String,
    inputs: impl FnOnce() -> String,
    run: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let modes = Modes::current()?;
    // Values of the caller's model that are half changed are its own concern, as after an error.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        modes.restore()?;
        Err(Error::Panic { part: part(), inputs: inputs(), message: message(&*panic) })
    })
}

/// Named tensors by shape and dtype, for the message of a panic.
pub(crate) fn describe<'t, N: AsRef<str>>(
    tensors: impl IntoIterator<Item = (N, &'t Tensor)>,
) -> String {
    let each = tensors.into_iter().map(|(name, tensor)| {
        let kind = tensor.f_kind().map_or_else(|_| "undefined".into(), |kind| format!("{kind:?}"));
        format!("{:?} {:?} {kind}", name.as_ref(), tensor.size())
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The text of a panic; of a panic of tch the first line of libtorch's error.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let Some((_, error)) = text.split_once("value: Torch(\"") else { return text.to_owned() };
    // The `Debug` form of the error: escaped, with a C++ backtrace.
    let error = error.split_once("\\nException raised").map_or(error, |(error, _)| error);
    error.trim_end_matches("\")").replace("\\n", "\n").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use tch::{Tensor, kind};

    use super::{caught, describe};
    use crate::error::Result;

    fn caught_text(run: impl FnOnce() -> Result<()>) -> String {
        caught(|| "part".into(), || "inputs".into(), run).unwrap_err().to_string()
    }

    #[test]
    fn a_panic_of_tch_has_the_first_line_of_libtorchs_error() {
        let product = || {
            let (a, b) =
                (Tensor::zeros([2, 3], kind::FLOAT_CPU), Tensor::zeros([4], kind::FLOAT_CPU));
            let _ = a.matmul(&b);
            Ok(())
        };
        let found = caught_text(product);
        let expected = "part panicked with the inputs inputs: size mismatch, got input (2), mat (2x3), vec (4)";
        assert_eq!(found, expected);
        assert!(caught_text(|| panic!("my {}", "words")).ends_with(": my words"));
        assert!(caught_text(|| std::panic::panic_any(7)).ends_with(": no message"));
    }

    #[test]
    fn modes_that_a_panic_leaves_changed_are_restored() {
        let closure = || tch::no_grad(|| panic!("in no_grad"));
        assert!(caught_text(closure).ends_with("in no_grad"));
        let x = Tensor::ones([1], kind::FLOAT_CPU).set_requires_grad(true);
        assert!((&x * 2.0).requires_grad());
    }

    #[test]
    fn tensors_are_described_by_name_shape_and_dtype() {
        let ids = Tensor::zeros([2, 3], kind::INT64_CPU);
        assert_eq!(describe([("ids", &ids)]), "\"ids\" [2, 3] Int64");
        assert_eq!(describe([("none", &Tensor::new())]), "\"none\" [0] undefined");
    }
}
