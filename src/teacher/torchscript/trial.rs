//! The checks of a trial run.

use tch::{TchError, Tensor};

use crate::batch::Input;
use crate::error::{self, Error, Result};

/// Features and logits.
type Output = (Tensor, Tensor);

/// Runs a module on `input` and checks its output; see [`tried_on`](super::TorchScript::tried_on).
pub(super) fn check(
    input: &Input,
    part: impl Fn(&str) -> String,
    run: impl Fn(&Input) -> Result<Output>,
    parameters: impl FnOnce() -> Vec<(String, Tensor)>,
) -> Result<()> {
    let rows = input.size().first().copied().unwrap_or(0);
    if rows < 2 {
        let (expected, hint) = ("[B, …], B at least two", "pass two samples or more");
        return Err(error::wrong_shape(part("trial input"), expected, &input.size(), hint));
    }
    let all = named(run(input)?);
    for (name, tensor) in &all {
        check_form(&part(name), name, rows, tensor)?;
    }
    for (name, tensor) in &all {
        if !is_finite(tensor)? {
            let hint = not_finite_hint(input, &parameters())?;
            let expected = "finite numbers";
            return Err(error::non_finite(part(name), expected, "NaN or infinity", hint));
        }
    }
    let half = input.map(|tensor| first_rows(tensor, rows / 2))?;
    let (once, again) = (named(run(&half)?), named(run(&half)?));
    for ((name, all), ((_, once), (_, again))) in all.iter().zip(once.iter().zip(&again)) {
        let (expected, found, hint) = if !is_close(once, again, all)? {
            let hint = "the module draws random numbers, as dropout does in training mode: call \
                        `.eval()` before tracing, since `torch.jit.trace` records the mode";
            ("the same values for the same input", "different values in two calls", hint)
        } else if !is_close(&first_rows(all, rows / 2)?, once, all)? {
            let hint = "samples depend on each other, as in batch norm in training mode: call \
                        `.eval()` before tracing, since `torch.jit.trace` records the mode";
            ("the same values for half of the samples as for all", "different values", hint)
        } else {
            continue;
        };
        return Err(error::config(part(name), expected, found, hint));
    }
    Ok(())
}

fn named((features, logits): Output) -> [(&'static str, Tensor); 2] {
    [("features", features), ("logits", logits)]
}

/// Refuses features that are not [B, d, …] and logits that are not [B, C].
fn check_form(what: &str, name: &str, rows: i64, tensor: &Tensor) -> Result<()> {
    let size = tensor.size();
    let is_logits = name == "logits";
    if size.first() != Some(&rows) || size.len() < 2 || (is_logits && size.len() != 2) {
        let expected =
            format!("[{rows}, {}], one row per sample", if is_logits { "C" } else { "d, …" });
        return Err(error::wrong_shape(what, expected, &size, "correct the module"));
    }
    if size.contains(&0) {
        let expected = format!("[{rows}, …] with at least one column");
        return Err(error::wrong_shape(what, expected, &size, "correct the module"));
    }
    if !tensor.is_floating_point() {
        let hint = if is_logits { "return scores, not labels" } else { "correct the module" };
        return Err(error::wrong_kind(what, "a floating-point dtype", tensor.kind(), hint));
    }
    Ok(())
}

/// What makes an output of the module not finite.
fn not_finite_hint(input: &Input, parameters: &[(String, Tensor)]) -> Result<String> {
    for (_, tensor) in input.tensors() {
        if !is_finite(tensor)? {
            return Ok("the trial input is not finite: check the data".into());
        }
    }
    for (name, parameter) in parameters {
        if !is_finite(parameter)? {
            return Ok(format!(
                "the module's parameter {name:?} is not finite: export the module of an epoch with \
                 finite weights"
            ));
        }
    }
    Ok("the input and all parameters are finite: a buffer (such as `running_var`) is not, or a \
        computation overflows"
        .into())
}

/// Reads from the device, as a trial may.
fn is_finite(tensor: &Tensor) -> Result<bool> {
    let finite = tensor.f_isfinite().and_then(|t| t.f_all()).and_then(bool::try_from);
    finite.map_err(failed)
}

/// Whether two tensors differ by at most 1 % of the largest value of `scale`.
fn is_close(a: &Tensor, b: &Tensor, scale: &Tensor) -> Result<bool> {
    let close = || {
        if a.size() != b.size() {
            return Ok(false);
        }
        let one_percent = Tensor::from(0.01_f32).f_to_device(scale.device())?;
        let bound = scale.f_abs()?.f_max()?.f_mul(&one_percent)?;
        bool::try_from(a.f_sub(b)?.f_abs()?.f_max()?.f_le_tensor(&bound)?)
    };
    close().map_err(failed)
}

fn first_rows(tensor: &Tensor, rows: i64) -> Result<Tensor> {
    tensor.f_narrow(0, 0, rows).map_err(failed)
}

fn failed(source: TchError) -> Error {
    Error::torch("compare outputs of a TorchScript module", source)
}
