//! Why a call of a module failed.

use tch::{IValue, Kind, TchError, Tensor};

use super::describe::describe;
use crate::batch::Input;
use crate::error::{self, Error};
use crate::modality::Modality;
use crate::torchscript::error_cause;

/// Dtypes of inputs.
const KINDS: [Kind; 5] = [Kind::Float, Kind::Half, Kind::BFloat16, Kind::Double, Kind::Int64];

/// The error of a call of `method` on `input` that failed with `source`. Calls it again with inputs of
/// other dtypes if the error mentions types, so that the hint names one that works.
pub(super) fn cause(
    modality: &Modality,
    method: &str,
    input: &Input,
    source: TchError,
    call: impl Fn(&Input) -> Result<IValue, TchError>,
    parameters: impl FnOnce() -> Vec<(String, Tensor)>,
) -> Error {
    let cause = error_cause(&source);
    let part = |part: &str| format!("{part} of TorchScript teacher {modality:?}");
    if cause.contains(&format!("Method '{method}' is not defined")) {
        let hint = if method == "forward" {
            "define `forward`, or pass it to `torch.jit.trace_module`"
        } else {
            "mark it with `@torch.jit.export`, pass it to `torch.jit.trace_module`, or keep it with \
             `torch.jit.freeze(…, preserved_attrs=[…])`"
        };
        let expected = format!("a method {method:?}");
        return error::config(part("module"), expected, "none of this name", hint);
    }
    let is_of_method = [format!("{method}()"), format!("operator '{method}'")];
    if cause.contains("argument") && is_of_method.iter().any(|text| cause.contains(text)) {
        let count = match input.tensors().len() {
            1 => "one input".to_owned(),
            count => format!("{count} inputs"),
        };
        let expected = format!("a method {method:?} of {count}");
        let hint = "wrap the module in one that takes the input of the modality alone";
        return error::config(part("module"), expected, cause, hint);
    }
    if cause.contains("unhandled tag") || cause.contains("unsupported tag") {
        let hint = "return tensors: a pair (features, logits), or another form of `ScriptOutput`";
        let found = "a value of a type that tch does not read";
        return error::config(part("output"), "tensors", found, hint);
    }
    let lower = cause.to_lowercase();
    let mentions_types = ["dtype", "scalar type", " type "].iter().any(|word| lower.contains(word));
    if let Some(kind) = mentions_types.then(|| working_kind(input, call, parameters)).flatten() {
        let found = format!("{}, with the error {cause:?}", describe_kind(input));
        let hint = if input.is_floating_point() && kind != Kind::Int64 {
            format!("call `input_kind(Kind::{kind:?})`")
        } else {
            format!("convert the inputs of the batches to {kind:?}")
        };
        let expected = format!("{kind:?}, on which {method:?} runs");
        return error::kind(part("input"), expected, found, hint);
    }
    let values = input.tensors().map(|(_, tensor)| IValue::Tensor(tensor.shallow_clone()));
    let values = values.map(|value| describe(&value)).collect::<Vec<_>>().join(", ");
    let doing = format!("run {method:?} on {values}");
    // Its cause first, which TorchScript puts last.
    let source = TchError::Torch(format!("{cause}\n{source}"));
    Error::torch(format!("{doing} in TorchScript teacher {modality:?}"), source)
}

/// A dtype of the input with which the call succeeds: first those of the parameters.
fn working_kind(
    input: &Input,
    call: impl Fn(&Input) -> Result<IValue, TchError>,
    parameters: impl FnOnce() -> Vec<(String, Tensor)>,
) -> Option<Kind> {
    let own = parameters();
    let own =
        own.iter().filter(|(_, t)| t.is_floating_point()).filter_map(|(_, t)| t.f_kind().ok());
    let other = |kind: &Kind| input.f_kind().ok() != Some(*kind);
    let works = |kind: &Kind| {
        let first = input.f_to_kind(*kind).and_then(|first| match kind {
            // Zero is an index of every embedding.
            Kind::Int64 => first.f_zeros_like(),
            _ => Ok(first),
        });
        first.and_then(|first| call(&input.with_first(first))).is_ok()
    };
    let mut kinds: Vec<Kind> = Vec::new();
    for kind in own.chain(KINDS).filter(other) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.into_iter().find(works)
}

fn describe_kind(tensor: &Tensor) -> String {
    tensor.f_kind().map_or_else(|_| "another dtype".into(), |kind| format!("{kind:?}"))
}
