//! The check that a written module reproduces the student.

use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use super::{
    function::{Function, Model},
    samples::{Samples, tensors},
};
use crate::error::{self, Error, Result};
use crate::libtorch::ScriptModule;
use crate::torchscript::error_cause;

/// Numbers of samples: 1, those of the recorded batches, and another one.
const SIZES: [i64; 4] = [3, 5, 1, 11];

/// Runs the module at `path` and the model on samples, and compares their outputs.
pub(super) fn check(
    path: &Path,
    model: &Model<'_>,
    functions: &[Function],
    samples: &Samples,
) -> Result<()> {
    let batch = samples.batch(0, 1)?;
    let load = ScriptModule::load(path, batch.device());
    let module = load.map_err(|e| Error::torch("load the exported module", e))?;
    let others = SIZES.into_iter().map(|size| (size / 2, size));
    // First the samples of the recording, so that a difference has one cause.
    let cases = std::iter::once((0, SIZES[0])).chain(others).chain([(0, samples.len())]);
    for (start, size) in cases {
        let batch = samples.batch(start, size)?;
        for &function in functions {
            let expected = model.run(function, &batch)?;
            check_finite(function, &expected)?;
            if model.run(function, &batch)?.iter().zip(&expected).any(|(a, b)| !is_near(a, b)) {
                let hint = "use the argument `train` of `encode` and `fuse`: dropout is off \
                            without it";
                let found = "different outputs for the same samples".into();
                return Err(differs(function, size, found, hint));
            }
            for _ in 0..RUNS {
                let found = call(&module, function, &tensors(&batch));
                let found = found.map_err(|source| {
                    let found = format!("the error {:?}", error_cause(&source));
                    differs(function, size, found, SIZE_HINT)
                })?;
                compare(function, size, start, &expected, &found)?;
            }
        }
    }
    Ok(())
}

/// TorchScript optimises a method in its first calls.
const RUNS: usize = 3;

const SIZE_HINT: &str = "the student depends on the batch size in a way that cannot be recorded, such as \
                         a branch in Rust or a size that is not linear in it";

const VALUE_HINT: &str = "the student reads a number from a tensor (`double_value`, `int64_value`, \
                          `try_from`) or branches on one; compute with tensors instead";

const RECORD_HINT: &str = "the student computes something that is not recorded, such as random numbers or \
                           elements that Rust writes into a tensor";

fn call(
    module: &ScriptModule,
    function: Function,
    inputs: &[Tensor],
) -> std::result::Result<Vec<Tensor>, TchError> {
    let _no_grad = tch::no_grad_guard();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    Ok(module.call(function.name(), &inputs)?.tensors)
}

fn compare(
    function: Function,
    size: i64,
    start: i64,
    expected: &[Tensor],
    found: &[Tensor],
) -> Result<()> {
    let hint = match (start, size) {
        (0, size) if size == SIZES[0] => RECORD_HINT,
        (_, size) if size == SIZES[0] || size == SIZES[1] => VALUE_HINT,
        _ => SIZE_HINT,
    };
    for (expected, found) in expected.iter().zip(found) {
        if expected.size() != found.size() {
            let found = format!("{:?} in place of {:?}", found.size(), expected.size());
            return Err(differs(function, size, found, hint));
        }
        if !is_near(expected, found) {
            let difference = (expected - found).abs().max().f_to_kind(Kind::Double)?;
            let found = format!("a difference of {:.1e}", difference.f_double_value(&[])?);
            return Err(differs(function, size, found, hint));
        }
    }
    Ok(())
}

/// Refuses outputs of the student that are not finite, which equal nothing.
fn check_finite(function: Function, outputs: &[Tensor]) -> Result<()> {
    for output in outputs {
        if !bool::try_from(output.f_isfinite()?.f_all()?)? {
            let what = format!("output of {:?} of the student", function.name());
            let hint = "check the weights and the example batch for NaN";
            return Err(error::non_finite(what, "finite numbers", "NaN or infinity", hint));
        }
    }
    Ok(())
}

fn is_near(a: &Tensor, b: &Tensor) -> bool {
    let exact = a.device() == Device::Cpu && matches!(a.kind(), Kind::Float | Kind::Double);
    let bound = if exact { 1e-6 } else { 1e-2 };
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let scale = a.abs().max().double_value(&[]).max(1.0);
    a.size() == b.size() && (a - b).abs().max().double_value(&[]) <= bound * scale
}

fn differs(function: Function, size: i64, found: String, hint: &str) -> Error {
    let samples = if size == 1 { "1 sample".into() } else { format!("{size} samples") };
    let what = format!("method {:?} of the exported module for {samples}", function.name());
    error::config(what, "the student's output", found, hint)
}
