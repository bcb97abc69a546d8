//! A teacher scripted or traced in Python.

mod archive;
mod describe;
mod failure;
mod output;
mod trial;

use std::path::Path;

use tch::{CModule, Cuda, Device, IValue, Kind, TchError, Tensor};

pub use output::ScriptOutput;

use super::{Teacher, TeacherOutput};
use crate::batch::{Batch, Input};
use crate::error::{self, Error, Result};
use crate::modality::Modality;

/// A TorchScript module as a teacher: frozen, in evaluation mode, without gradient.
///
/// `forward` takes the tensors [B, …] of the modality's [`Input`], in their order, and returns features
/// and logits in the form of [`ScriptOutput`]. A floating-point tensor is converted to the dtype of the
/// module's parameters, if they all have one dtype, so that a module in half precision takes `Float`
/// batches. Features and logits in 16 bits are converted to `Float`.
///
/// A TorchScript file is a program: load only files that you trust. docs/from-python.md shows how to
/// write one.
///
/// # Example
/// ```no_run
/// use g2d::teacher::TorchScript;
/// use tch::{Device, Kind, Tensor};
///
/// let audio = TorchScript::load("audio", "audio.pt", Device::Cpu)?
///     .tried_on(&Tensor::rand([2, 1, 257, 188], (Kind::Float, Device::Cpu)))?;
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct TorchScript {
    modality: Modality,
    module: CModule,
    output: ScriptOutput,
    device: Device,
    kind: Option<Kind>,
}

impl TorchScript {
    /// Loads the module at `path` onto `device`, the device of the batches.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is not a TorchScript archive;
    /// [`Error::Device`] if the device does not exist.
    pub fn load(
        modality: impl Into<Modality>,
        path: impl AsRef<Path>,
        device: Device,
    ) -> Result<Self> {
        let modality = modality.into();
        let devices = Cuda::device_count();
        if matches!(device, Device::Cuda(n) if n as i64 >= devices) {
            let expected = format!("one of {devices} CUDA devices, or a device of another type");
            let (what, found) = (format!("teacher {modality:?}"), format!("{device:?}"));
            return Err(error::device(what, expected, found, "check that libtorch finds the GPU"));
        }
        let mut module = archive::read(path.as_ref(), device)?;
        let kind = freeze(&mut module);
        let kind = kind.map_err(|e| Error::torch("freeze a TorchScript module", e))?;
        Ok(Self { modality, module, output: ScriptOutput::default(), device, kind })
    }

    /// Sets the form of the output; [`ScriptOutput::Automatic`] by default.
    pub fn output_form(mut self, output: ScriptOutput) -> Self {
        self.output = output;
        self
    }

    /// Sets the dtype to which floating-point inputs are converted; by default that of the parameters.
    /// A module frozen by `torch.jit.freeze` has no parameters and needs this.
    pub fn input_kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Runs the module on `input` [B, …] with B ≥ 2, to find a wrong form of output, wrong shapes, values
    /// that are not finite, or a trace in training mode before training starts.
    ///
    /// # Errors
    /// As [`output`](Teacher::output); [`Error::Shape`] if features are not [B, d, …] or logits not
    /// [B, C]; [`Error::Kind`] if they are no floating-point numbers; [`Error::NonFinite`] if they are
    /// not finite; [`Error::Config`] if two outputs for the first half of the rows differ, or one
    /// differs from their output in the whole input, by more than 1 % of the largest value (dropout or
    /// batch norm in training mode).
    pub fn tried_on(self, input: impl Into<Input>) -> Result<Self> {
        trial::check(
            &input.into(),
            |part| self.part(part),
            |input| self.run(input),
            || self.parameters(),
        )?;
        Ok(self)
    }

    /// Features and logits for `input`, without gradient.
    fn run(&self, input: &Input) -> Result<(Tensor, Tensor)> {
        let _no_grad = tch::no_grad_guard();
        if input.device() != self.device {
            let hint = "load the teacher onto the device of the batches";
            let what = self.part("input");
            return Err(error::wrong_device(what, self.device, "module", input.device(), hint));
        }
        let input = input.map(|tensor| {
            let converted = match self.kind {
                Some(kind) if tensor.is_floating_point() => tensor.f_to_kind(kind),
                _ => Ok(tensor.shallow_clone()),
            };
            converted.map_err(|e| Error::torch(format!("convert the {}", self.part("input")), e))
        })?;
        self.output.read(&self.part("output"), |method| {
            let call = |input: &Input| self.call(method, input);
            call(&input).map_err(|source| {
                failure::cause(&self.modality, method, &input, source, call, || self.parameters())
            })
        })
    }

    fn call(&self, method: &str, input: &Input) -> std::result::Result<IValue, TchError> {
        let tensors = input.tensors().map(|(_, tensor)| IValue::Tensor(tensor.shallow_clone()));
        self.module.method_is(method, &tensors.collect::<Vec<_>>())
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        self.module.named_parameters().unwrap_or_default()
    }

    fn part(&self, part: &str) -> String {
        format!("{part} of TorchScript teacher {:?}", self.modality)
    }
}

impl Teacher for TorchScript {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let (features, logits) = self.run(batch.checked_input(m)?)?;
        Ok(TeacherOutput { features, logits, host: None })
    }
}

/// Freezes the module; returns the dtype of its floating-point parameters if they have one in common.
fn freeze(module: &mut CModule) -> std::result::Result<Option<Kind>, TchError> {
    module.f_set_eval()?;
    let parameters = module.named_parameters()?;
    parameters.iter().try_for_each(|(_, t)| t.f_set_requires_grad(false).map(drop))?;
    let floats = parameters.iter().filter(|(_, t)| t.is_floating_point());
    // `None` for a dtype that tch does not have.
    let mut kinds: Vec<Option<Kind>> = floats.map(|(_, t)| t.f_kind().ok()).collect();
    kinds.dedup();
    Ok(kinds.first().copied().flatten().filter(|_| kinds.len() == 1))
}
