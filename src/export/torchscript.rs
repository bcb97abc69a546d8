//! A TorchScript file of a student.

use std::path::Path;

use tch::Tensor;

use super::{
    check::check,
    function::{Function, Model},
    names,
    samples::{Samples, tensors, with_tensors},
};
use crate::batch::Batch;
use crate::calibration::Prediction;
use crate::error::{self, Error, Result};
use crate::file::atomic;
use crate::libtorch::{ScriptModule, TraceError, TracedMethod};
use crate::parameters::{Stores, Variables};
use crate::student::Student;

/// Numbers of samples of the two batches from which a method is recorded.
const TRACED: [i64; 2] = [3, 5];

/// Writes a trained student as a TorchScript module.
///
/// The module runs on any batch size and on any device, in evaluation mode, for samples that have every
/// modality. Its methods take the tensors of the inputs of all modalities, in the student's order. An
/// argument has the name of its modality; if a modality's input has several tensors, the names of modality
/// and tensor, as in `text_mask`.
///
/// | method | returns |
/// |---|---|
/// | `forward` | logits or predictions [B, C]: those of the [`prediction`](Self::prediction) if one is set, else the fused ones |
/// | `features` | a tuple of the encoders' features |
/// | `unimodal_logits` | a tuple of the logits [B, C] of the unimodal heads; only if every modality has one |
///
/// Parameters and buffers are those of the stores, under their names: `state_dict()` in Python.
///
/// # What is recorded
/// The operations are recorded by running the student on 3 and on 5 samples. A size that the student reads
/// in Rust (`let (b, t, _) = x.size3()?;`) becomes a function of the batch size if it depends on it; the
/// others, such as the length of sequences, are those of the example batch, where the student reads them.
/// A number that it reads from a tensor (`double_value`) stays what it was, as does a branch in Rust.
/// Therefore [`save`](Self::save) runs the written file on other samples and other batch sizes, and refuses
/// a file that does not reproduce the student.
///
/// # Example
/// ```
/// # use g2d::{Batch, student::Closures};
/// # use tch::{Device, Kind, Tensor, nn, nn::Module};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("student.pt");
/// # let vs = nn::VarStore::new(Device::Cpu);
/// # let encoder = nn::linear(vs.root() / "audio", 8, 4, Default::default());
/// # let head = nn::linear(vs.root() / "head", 4, 3, Default::default());
/// # let student = Closures::builder()
/// #     .encoder("audio", |input, _train| Ok(encoder.forward(input)))
/// #     .encoder("image", |input, _train| Ok(input.relu()))
/// #     .fusion(|features, _train| Ok(head.forward(&features[0]) + &features[1]))
/// #     .build()?;
/// # let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
/// # let targets = Tensor::zeros([4], (Kind::Int64, Device::Cpu));
/// # let batch = Batch::new([random(&[4, 8]), random(&[4, 3])], targets);
/// use g2d::export::TorchScript;
///
/// TorchScript::new(&student, &vs).save(&path, &batch)?;
/// // In Python: torch.jit.load("student.pt")(audio, image)
/// # let module = tch::CModule::load(&path)?;
/// # assert_eq!(module.forward_ts(&[random(&[9, 8]), random(&[9, 3])])?.size(), [9, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TorchScript<'a> {
    model: Model<'a>,
    variables: Variables,
}

impl<'a> TorchScript<'a> {
    /// Exports `student`, whose parameters and buffers are in `stores`: `&vs`, or several with names.
    pub fn new(student: &'a dyn Student, stores: impl Into<Stores>) -> Self {
        let model = Model { student, prediction: None };
        Self { model, variables: Variables::new(stores) }
    }

    /// Makes `forward` return the calibrated logits of a prediction: those of [`Prediction::logits`], in
    /// the dtype of the fused logits. Their softmax are the calibrated probabilities.
    ///
    /// Calibrated weights of a late fusion need no call: they are part of the student.
    pub fn prediction(mut self, prediction: &'a Prediction) -> Self {
        self.model.prediction = Some(prediction);
        self
    }

    /// Atomically writes the module to `path`, recorded from and checked on samples of `example`. Several
    /// different samples make the check strict.
    ///
    /// # Errors
    /// Any error of the student. [`Error::NonFinite`] for a parameter, a buffer or an output that is not
    /// finite. [`Error::Config`] if the example has no sample with every modality, if the student has a
    /// trainable tensor that is in none of the stores, if a path of a variable has a keyword of Python,
    /// and if the module does not reproduce the student: its outputs on 1, 3, 5 and 11 samples and on all of `example` may differ by 10⁻⁶, relative to the
    /// largest output if that is above 1 (in 16 bits, or on a device other than the CPU, by 10⁻²).
    /// [`Error::Io`] or [`Error::Torch`] if the file cannot be written. A previous file at `path` is
    /// unchanged then.
    pub fn save(&self, path: impl AsRef<Path>, example: &Batch) -> Result<()> {
        self.variables.check_finite("model to export")?;
        let modalities = self.model.student.modalities();
        let samples = Samples::new(example, modalities)?;
        let mut functions = vec![Function::Forward, Function::Features];
        if self.model.has_heads(&samples.batch(0, TRACED[0])?)? {
            functions.push(Function::UnimodalLogits);
        }
        let parameters = self.variables.parameters().map(|(name, t)| (name.as_str(), t, true));
        let buffers = self.variables.buffers().map(|(name, t)| (name.as_str(), t, false));
        let variables: Vec<_> = parameters.chain(buffers).collect();
        variables.iter().try_for_each(|(name, ..)| names::check_variable(name))?;
        let mut module = ScriptModule::with_variables(&variables)?;
        let names = samples.input_names(modalities);
        for &function in &functions {
            self.record(&mut module, function, &samples, &names)?;
        }
        atomic::write(path.as_ref(), |path| {
            module.save(path)?;
            check(path, &self.model, &functions, &samples)
        })
    }

    /// Adds the method of a function to the module.
    fn record(
        &self,
        module: &mut ScriptModule,
        function: Function,
        samples: &Samples,
        names: &[String],
    ) -> Result<()> {
        let batches = [samples.batch(0, TRACED[0])?, samples.batch(0, TRACED[1])?];
        let [first, second] = [tensors(&batches[0]), tensors(&batches[1])];
        let outputs =
            (function != Function::Forward).then_some(self.model.student.modalities().len());
        let method = TracedMethod { name: function.name(), inputs: names, outputs };
        let mut run = |inputs: &[Tensor]| {
            let is_first = inputs[0].size().first() == Some(&TRACED[0]);
            let batch = with_tensors(&batches[usize::from(!is_first)], inputs)?;
            self.model.run(function, &batch)
        };
        let traced = module.trace(&method, [&first, &second], TRACED, &mut run);
        traced.map_err(|failure| match failure {
            TraceError::Function(error) if error.to_string().contains(UNKNOWN) => unknown_tensor(),
            TraceError::Function(error) => error,
            TraceError::Torch(source) => not_general(function, &source),
        })
    }
}

/// The words with which libtorch refuses to make a constant of a trainable tensor.
const UNKNOWN: &str = "Cannot insert a Tensor that requires grad as a constant";

fn unknown_tensor() -> Error {
    error::config(
        "student to export",
        "trainable tensors of the given stores alone",
        "another trainable tensor",
        "pass the stores of all parts of the student",
    )
}

/// The operations for two batch sizes have no common form.
fn not_general(function: Function, source: &tch::TchError) -> Error {
    let text = match source {
        tch::TchError::Torch(text) => text.lines().next().unwrap_or_default().to_owned(),
        other => other.to_string(),
    };
    error::config(
        format!("method {:?} of the student to export", function.name()),
        "the same operations for every batch size, with sizes that are linear in it",
        text,
        "leave out branches and numbers in Rust that depend on the batch size or on elements of a \
         tensor (`double_value`)",
    )
}
