//! A teacher scripted or traced in Python; `words` tells what it said or why it failed.

mod words;

use std::{fs::File, io::Read, path::Path};

use tch::{CModule, Cuda, Device, IValue, Kind, TchError, Tensor};

use words::{described, reason};

use super::{Teacher, TeacherOutput};
use crate::{
    batch::Batch,
    error::{self, Error, Result},
    modality::Modality,
};

/// How a TorchScript module says features and logits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ScriptOutput {
    /// A pair `(features, logits)` in this order, or a dict with the keys `features` and `logits`.
    #[default]
    Automatic,
    /// A pair `(features, logits)`, in this order.
    Pair,
    /// A dict with these keys; others are passed over.
    Dict {
        /// The key of the features.
        features: String,
        /// The key of the logits.
        logits: String,
    },
    /// `forward` says the logits alone, and the method of this name the features, of the same input.
    ///
    /// The encoder then runs twice for each batch; a [`OutputFile`](crate::teacher::cache::OutputFile) spares that.
    Method(String),
}

/// A TorchScript module: frozen, in evaluation mode, without gradient.
///
/// `forward` takes the input [B, …] of the modality and answers as [`ScriptOutput`] says. An input of
/// floats is converted to the kind of the module's parameters where they all have one, so a module in
/// half precision takes `Float` batches; features and logits in 16 bits are given back as `Float`.
///
/// A TorchScript file is a program: load none from strangers. docs/from-python.md shows how to make
/// one, and what can go wrong.
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
    /// Loads the module at `path` onto `device`, where the batches will be.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is no TorchScript archive;
    /// [`Error::Device`] if there is no such device.
    pub fn load(
        modality: impl Into<Modality>,
        path: impl AsRef<Path>,
        device: Device,
    ) -> Result<Self> {
        let (modality, path) = (modality.into(), path.as_ref());
        let devices = Cuda::device_count();
        if matches!(device, Device::Cuda(n) if n as i64 >= devices) {
            return Err(error::device(
                format!("teacher {modality:?}"),
                format!("one of {devices} CUDA devices, or another kind"),
                format!("{device:?}"),
                "check that libtorch sees the GPU",
            ));
        }
        let mut magic = [0; 4];
        let read = File::open(path).and_then(|file| file.take(4).read(&mut magic));
        read.map_err(|source| Error::io("read", path, source))?;
        let archive = if &magic == b"PK\x03\x04" {
            CModule::load_on_device(path, device).map_err(|e| reason(&e))
        } else {
            Err("no archive".into())
        };
        let mut module = archive.map_err(|found| {
            Error::data(
                path,
                "file",
                "a TorchScript archive",
                found,
                "write it with `torch.jit.trace(…)` or `torch.jit.script(…)` and `.save(…)`; \
                 `torch.save` and `torch.export` write other formats",
            )
        })?;
        let prepare = || {
            module.f_set_eval()?;
            let parameters = module.named_parameters()?;
            parameters.iter().try_for_each(|(_, t)| t.f_set_requires_grad(false).map(drop))?;
            Ok(parameters)
        };
        let parameters =
            { prepare }().map_err(|e| Error::torch("freeze a TorchScript module", e))?;
        let floats = parameters.iter().filter(|(_, t)| t.is_floating_point());
        let mut kinds: Vec<Kind> = floats.map(|(_, t)| t.kind()).collect();
        kinds.dedup();
        let kind = (kinds.len() == 1).then(|| kinds[0]);
        Ok(Self { modality, module, output: ScriptOutput::default(), device, kind })
    }

    /// Chooses how the module says features and logits; [`ScriptOutput::Automatic`] without this.
    pub fn output_form(mut self, output: ScriptOutput) -> Self {
        self.output = output;
        self
    }

    /// The kind to which inputs of floats are converted; that of the parameters without this. A module
    /// frozen by `torch.jit.freeze` has no parameters left to tell it.
    pub fn input_kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Asks it about `input` [B, …] with B ≥ 2, so that what is wrong with it is found before training:
    /// its form, shapes, or that it was traced in training mode.
    ///
    /// # Errors
    /// As [`output`](Teacher::output); [`Error::Shape`] if features are not [B, d, …] or logits not
    /// [B, C]; [`Error::Config`] if it says something else of the first half of the rows than of the
    /// same rows among all, by more than 1 % of the largest answer (dropout or batch norm in training
    /// mode).
    pub fn tried_on(self, input: &Tensor) -> Result<Self> {
        let rows = input.size().first().copied().unwrap_or(0);
        let (features, logits) = self.ask(input)?;
        for (what, answer) in [("features", &features), ("logits", &logits)] {
            let size = answer.size();
            let right = size.first() == Some(&rows) && rows >= 2 && size.len() >= 2;
            if !right || (what == "logits" && size.len() != 2) {
                return Err(error::shape(
                    self.what(what),
                    format!("[{rows}, …], one row a sample, of at least two"),
                    format!("{size:?}"),
                    "fix the module, and try it on two samples or more",
                ));
            }
        }
        let first = |t: &Tensor| t.f_narrow(0, 0, rows / 2);
        let alone = self.ask(&first(input)?)?;
        for (what, all, alone) in [("features", features, alone.0), ("logits", logits, alone.1)] {
            let apart = (first(&all)?.f_sub(&alone)?).f_abs()?.f_max()?;
            let bound =
                all.f_abs()?.f_max()?.f_mul(&Tensor::from(0.01_f32).to_device(self.device))?;
            if !bool::try_from(apart.f_le_tensor(&bound)?)? {
                return Err(error::config(
                    self.what(what),
                    "the same of half the samples as among all",
                    "something else",
                    "call `.eval()` before tracing: `torch.jit.trace` keeps the mode it sees",
                ));
            }
        }
        Ok(self)
    }

    /// Features and logits for `input`, outside any graph.
    fn ask(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        let _no_grad = tch::no_grad_guard();
        if input.device() != self.device {
            return Err(error::device(
                self.what("input"),
                format!("{:?}, where the module is", self.device),
                format!("{:?}", input.device()),
                "load the teacher onto the device of the batches",
            ));
        }
        let input = match self.kind {
            Some(kind) if input.is_floating_point() => input.f_to_kind(kind),
            _ => Ok(input.shallow_clone()),
        };
        let input = IValue::Tensor(input.map_err(|e| self.failed("convert the input", &e))?);
        let run = |method: &str| {
            let said = self.module.method_is(method, std::slice::from_ref(&input));
            said.map_err(|e| self.refused(method, &input, &e))
        };
        let (features, logits) = match &self.output {
            ScriptOutput::Method(name) => (run(name)?, run("forward")?),
            ScriptOutput::Dict { features, logits } => {
                self.dict(run("forward")?, features, logits)?
            }
            ScriptOutput::Pair => self.pair(run("forward")?)?,
            ScriptOutput::Automatic => match run("forward")? {
                dict @ IValue::GenericDict(_) => self.dict(dict, "features", "logits")?,
                other => self.pair(other)?,
            },
        };
        Ok((self.tensor("features", features)?, self.tensor("logits", logits)?))
    }

    fn pair(&self, said: IValue) -> Result<(IValue, IValue)> {
        let found = described(&said);
        let mut parts = match said {
            IValue::Tuple(parts) | IValue::GenericList(parts) => parts,
            IValue::TensorList(parts) => parts.into_iter().map(IValue::Tensor).collect(),
            _ => Vec::new(),
        };
        match (parts.len(), parts.pop(), parts.pop()) {
            (2, Some(logits), Some(features)) => Ok((features, logits)),
            _ => Err(self.other_form("a pair (features, logits)", found)),
        }
    }

    fn dict(&self, said: IValue, features: &str, logits: &str) -> Result<(IValue, IValue)> {
        let expected = format!("a dict with the keys {features:?} and {logits:?}");
        let found = described(&said);
        let IValue::GenericDict(entries) = said else {
            return Err(self.other_form(&expected, found));
        };
        let (mut own_features, mut own_logits) = (None, None);
        for (key, value) in entries {
            match key {
                IValue::String(key) if key == features => own_features = Some(value),
                IValue::String(key) if key == logits => own_logits = Some(value),
                _ => {}
            }
        }
        own_features.zip(own_logits).ok_or_else(|| self.other_form(&expected, found))
    }

    /// The tensor itself; 16 bits become `Float`.
    fn tensor(&self, what: &str, said: IValue) -> Result<Tensor> {
        let IValue::Tensor(tensor) = said else {
            return Err(self.other_form(&format!("a tensor of {what}"), described(&said)));
        };
        let wide = match tensor.kind() {
            Kind::Half | Kind::BFloat16 => tensor.f_to_kind(Kind::Float),
            _ => Ok(tensor),
        };
        wide.and_then(|tensor| tensor.f_detach()).map_err(|e| self.failed("convert an answer", &e))
    }

    fn other_form(&self, expected: &str, found: String) -> Error {
        error::config(
            self.what("output"),
            expected,
            found,
            "choose another `ScriptOutput`, or let the module return a pair (features, logits)",
        )
    }

    fn refused(&self, method: &str, input: &IValue, source: &TchError) -> Error {
        let reason = reason(source);
        if reason.contains(&format!("Method '{method}' is not defined")) {
            return error::config(
                self.what("module"),
                format!("a method {method:?}"),
                "none of this name",
                "mark it with `@torch.jit.export`, name it to `torch.jit.trace_module`, or keep it \
                 with `torch.jit.freeze(…, preserved_attrs=[…])`",
            );
        }
        self.failed(&format!("run {method:?} on {}", described(input)), source)
    }

    /// libtorch's error with its reason first, which TorchScript puts last.
    fn failed(&self, doing: &str, source: &TchError) -> Error {
        let told = TchError::Torch(format!("{}\n{source}", reason(source)));
        Error::torch(format!("{doing} in TorchScript teacher {:?}", self.modality), told)
    }

    fn what(&self, part: &str) -> String {
        format!("{part} of TorchScript teacher {:?}", self.modality)
    }
}

impl Teacher for TorchScript {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let (features, logits) = self.ask(batch.checked_input(m)?)?;
        Ok(TeacherOutput { features, logits, host: None })
    }
}
