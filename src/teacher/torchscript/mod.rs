//! A teacher scripted or traced in Python.

mod describe;
mod output;

use std::{fs::File, io::Read, path::Path};

use tch::{CModule, Cuda, Device, IValue, Kind, TchError, Tensor};

use describe::{describe, error_cause};
pub use output::ScriptOutput;

use super::{Teacher, TeacherOutput};
use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::modality::Modality;

/// A TorchScript module as a teacher: frozen, in evaluation mode, without gradient.
///
/// `forward` takes the input [B, …] of the modality and returns features and logits in the form of
/// [`ScriptOutput`]. A floating-point input is converted to the dtype of the module's parameters, if
/// they all have one dtype, so that a module in half precision takes `Float` batches. Features and
/// logits in 16 bits are converted to `Float`.
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
        let mut module = read_archive(path.as_ref(), device)?;
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

    /// Runs the module on `input` [B, …] with B ≥ 2, to find a wrong form of output, wrong shapes or a
    /// trace in training mode before training starts.
    ///
    /// # Errors
    /// As [`output`](Teacher::output); [`Error::Shape`] if features are not [B, d, …] or logits not
    /// [B, C]; [`Error::Config`] if the output for the first half of the rows differs from their output
    /// in the whole input by more than 1 % of the largest value (dropout or batch norm in training
    /// mode).
    pub fn tried_on(self, input: &Tensor) -> Result<Self> {
        let rows = input.size().first().copied().unwrap_or(0);
        let (features, logits) = self.run(input)?;
        for (name, tensor) in [("features", &features), ("logits", &logits)] {
            let size = tensor.size();
            let valid = size.first() == Some(&rows) && rows >= 2 && size.len() >= 2;
            if !valid || (name == "logits" && size.len() != 2) {
                let expected = format!("[{rows}, …], one row per sample, at least two rows");
                let hint = "correct the module, and pass two samples or more";
                return Err(error::wrong_shape(self.part(name), expected, &size, hint));
            }
        }
        let first = |t: &Tensor| t.f_narrow(0, 0, rows / 2);
        let alone = self.run(&first(input)?)?;
        for (name, all, alone) in [("features", features, alone.0), ("logits", logits, alone.1)] {
            let difference = first(&all)?.f_sub(&alone)?.f_abs()?.f_max()?;
            let one_percent = Tensor::from(0.01_f32).to_device(self.device);
            let bound = all.f_abs()?.f_max()?.f_mul(&one_percent)?;
            if !bool::try_from(difference.f_le_tensor(&bound)?)? {
                return Err(error::config(
                    self.part(name),
                    "the same values for half of the samples as for all",
                    "different values",
                    "call `.eval()` before tracing: `torch.jit.trace` records the mode",
                ));
            }
        }
        Ok(self)
    }

    /// Features and logits for `input`, without gradient.
    fn run(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        let _no_grad = tch::no_grad_guard();
        if input.device() != self.device {
            let hint = "load the teacher onto the device of the batches";
            let what = self.part("input");
            return Err(error::wrong_device(what, self.device, "module", input.device(), hint));
        }
        let input = match self.kind {
            Some(kind) if input.is_floating_point() => input.f_to_kind(kind),
            _ => Ok(input.shallow_clone()),
        };
        let input = IValue::Tensor(input.map_err(|e| self.failed("convert the input", &e))?);
        self.output.read(&self.part("output"), |method| {
            let value = self.module.method_is(method, std::slice::from_ref(&input));
            value.map_err(|e| self.method_failed(method, &input, &e))
        })
    }

    fn method_failed(&self, method: &str, input: &IValue, source: &TchError) -> Error {
        if error_cause(source).contains(&format!("Method '{method}' is not defined")) {
            return error::config(
                self.part("module"),
                format!("a method {method:?}"),
                "none of this name",
                "mark it with `@torch.jit.export`, pass it to `torch.jit.trace_module`, or keep it \
                 with `torch.jit.freeze(…, preserved_attrs=[…])`",
            );
        }
        self.failed(&format!("run {method:?} on {}", describe(input)), source)
    }

    /// An error of libtorch that begins with its cause, which TorchScript puts last.
    fn failed(&self, doing: &str, source: &TchError) -> Error {
        let source = TchError::Torch(format!("{}\n{source}", error_cause(source)));
        Error::torch(format!("{doing} in TorchScript teacher {:?}", self.modality), source)
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

fn read_archive(path: &Path, device: Device) -> Result<CModule> {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|file| file.take(4).read(&mut magic));
    read.map_err(|source| Error::io("read", path, source))?;
    let module = if &magic == b"PK\x03\x04" {
        CModule::load_on_device(path, device).map_err(|e| error_cause(&e))
    } else {
        Err("no archive".into())
    };
    module.map_err(|found| {
        let hint = "write it with `torch.jit.trace(…)` or `torch.jit.script(…)` and `.save(…)`; \
                    `torch.save` and `torch.export` write other formats";
        Error::data(path, "file", "a TorchScript archive", found, hint)
    })
}

/// Freezes the module; returns the dtype of its floating-point parameters if they have one in common.
fn freeze(module: &mut CModule) -> std::result::Result<Option<Kind>, TchError> {
    module.f_set_eval()?;
    let parameters = module.named_parameters()?;
    parameters.iter().try_for_each(|(_, t)| t.f_set_requires_grad(false).map(drop))?;
    let floats = parameters.iter().filter(|(_, t)| t.is_floating_point());
    let mut kinds: Vec<Kind> = floats.map(|(_, t)| t.kind()).collect();
    kinds.dedup();
    Ok((kinds.len() == 1).then(|| kinds[0]))
}
