//! A student made of TorchScript modules.

use tch::Tensor;

use super::{Features, Student};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::torchscript::Method;

/// A [`Student`] whose encoders, fusion and heads are TorchScript methods, trained like any other student.
///
/// They are methods of one [`Module`](crate::torchscript::Module), or of several, for example one per
/// encoder and one for the fusion; docs/from-python.md shows both. The order of the calls of
/// [`encoder`](TorchScriptBuilder::encoder) is the order of the modalities. The trainer selects training
/// or evaluation mode in each call: an encoder that is suppressed under
/// [`SuppressedMode::Evaluation`](crate::trainer::SuppressedMode) runs in evaluation mode while the others
/// train, also where all are methods of one module.
///
/// # Example
/// ```no_run
/// use g2d::{ModalityParams, student::TorchScript, torchscript::Module};
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let model = Module::load("model.pt", vs.root())?;
/// let student = TorchScript::builder()
///     .encoder("audio", model.method("encode_audio")?)
///     .encoder("text", model.method("encode_text")?)
///     .inputs("text", ["ids", "mask"])
///     .fusion(model.method("fuse")?)
///     .build()?;
/// // The parameters of `self.audio_net` and `self.text_net` in Python.
/// let params = ModalityParams::by_prefix(&vs, [("audio", "audio_net"), ("text", "text_net")])?;
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct TorchScript {
    modalities: Vec<Modality>,
    parts: Vec<Parts>,
    fusion: Method,
    fusion_inputs: Vec<(usize, String)>,
}

/// What belongs to one modality.
#[derive(Debug)]
struct Parts {
    encoder: Method,
    /// The names of the tensors of its input; all of them if `None`.
    inputs: Option<Vec<String>>,
    head: Option<Method>,
    feature_shape: Option<Vec<i64>>,
}

/// Builds a [`TorchScript`]; [`build`](Self::build) checks.
#[derive(Debug, Default)]
#[must_use]
pub struct TorchScriptBuilder {
    encoders: Vec<(Modality, Method)>,
    optional: Vec<(Modality, Optional)>,
    fusion: Option<Method>,
    fusion_inputs: Vec<(Modality, String)>,
}

/// An optional part of a modality.
#[derive(Debug)]
enum Optional {
    Inputs(Vec<String>),
    Head(Method),
    FeatureShape(Vec<i64>),
}

impl TorchScript {
    /// A builder without parts.
    pub fn builder() -> TorchScriptBuilder {
        TorchScriptBuilder::default()
    }
}

impl TorchScriptBuilder {
    /// Adds a modality with its encoder. It is called with the tensors of the modality's input, in the
    /// order of the batch ([`batch::Input`](crate::batch::Input)), and returns features [B, d, …].
    /// Required for every modality.
    pub fn encoder(mut self, modality: impl Into<Modality>, method: Method) -> Self {
        self.encoders.push((modality.into(), method));
        self
    }

    /// Selects the tensors that the encoder of a modality is called with, by name, in this order.
    pub fn inputs<N: Into<String>>(
        self,
        modality: impl Into<Modality>,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        self.with(modality, Optional::Inputs(names.into_iter().map(Into::into).collect()))
    }

    /// Sets the fusion. It is called with the features of all modalities, as separate arguments or, if its
    /// one argument is a `List[Tensor]`, as a list, and returns logits or predictions [B, C]. Required.
    pub fn fusion(mut self, method: Method) -> Self {
        self.fusion = Some(method);
        self
    }

    /// Adds an argument of the fusion after the features: the tensor called `name` of the input of a
    /// modality ([`Features::input`]), such as a padding mask.
    pub fn fusion_input(mut self, modality: impl Into<Modality>, name: impl Into<String>) -> Self {
        self.fusion_inputs.push((modality.into(), name.into()));
        self
    }

    /// Sets the unimodal head of a modality: called with the features of the modality, it returns logits
    /// [B, C]. It runs in evaluation mode.
    pub fn head(self, modality: impl Into<Modality>, method: Method) -> Self {
        self.with(modality, Optional::Head(method))
    }

    /// Sets the shape of one sample's features, as [`Student::feature_shape`]: needed for batches in which
    /// no sample has the modality.
    pub fn feature_shape(self, modality: impl Into<Modality>, shape: impl Into<Vec<i64>>) -> Self {
        self.with(modality, Optional::FeatureShape(shape.into()))
    }

    fn with(mut self, modality: impl Into<Modality>, part: Optional) -> Self {
        self.optional.push((modality.into(), part));
        self
    }

    /// Builds the student.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) without an encoder or a fusion, for fewer than two
    /// modalities or invalid names ([`Modality::check_names`]), for a part of a modality that has no encoder, and for a method that
    /// does not take the number of tensors that it will be called with.
    pub fn build(self) -> Result<TorchScript> {
        let (modalities, encoders): (Vec<_>, Vec<_>) = self.encoders.into_iter().unzip();
        let missing = |method: &str| {
            let expected = format!("a call of `{method}`");
            error::config("TorchScript student", expected, "none", "add it before `build`")
        };
        if modalities.is_empty() {
            return Err(missing("encoder"));
        }
        Modality::check_names(&modalities)?;
        let fusion = self.fusion.ok_or_else(|| missing("fusion"))?;
        let index = |modality: Modality| {
            modalities.iter().position(|other| *other == modality).ok_or_else(|| {
                let (expected, found) = (format!("one of {modalities:?}"), format!("{modality:?}"));
                let hint = "add its encoder, or correct the name";
                error::config("modality of a part of a TorchScript student", expected, found, hint)
            })
        };
        let parts = |encoder| Parts { encoder, inputs: None, head: None, feature_shape: None };
        let mut parts: Vec<_> = encoders.into_iter().map(parts).collect();
        for (modality, optional) in self.optional {
            let part = &mut parts[index(modality)?];
            match optional {
                Optional::Inputs(names) => {
                    part.encoder.check_inputs(names.len())?;
                    part.inputs = Some(names);
                }
                Optional::Head(head) => {
                    head.check_inputs(1)?;
                    part.head = Some(head);
                }
                Optional::FeatureShape(shape) => part.feature_shape = Some(shape),
            }
        }
        let inputs = self.fusion_inputs.into_iter();
        let fusion_inputs = inputs.map(|(modality, name)| Ok((index(modality)?, name)));
        let fusion_inputs = fusion_inputs.collect::<Result<Vec<_>>>()?;
        fusion.check_inputs(modalities.len() + fusion_inputs.len())?;
        Ok(TorchScript { modalities, parts, fusion, fusion_inputs })
    }
}

impl Student for TorchScript {
    fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let (part, input) = (&self.parts[m], batch.checked_input(m)?);
        let tensors: Vec<&Tensor> = match &part.inputs {
            Some(names) => names.iter().map(|name| input.tensor(name)).collect::<Result<_>>()?,
            None => input.tensors().map(|(_, tensor)| tensor).collect(),
        };
        part.encoder.call(&tensors, train)
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        let further = self.fusion_inputs.iter().map(|(m, name)| features.input(*m, name));
        let further = further.collect::<Result<Vec<_>>>()?;
        let inputs: Vec<&Tensor> = features.iter().chain(&further).collect();
        self.fusion.call(&inputs, train)
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.parts[m].feature_shape.clone()
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        let head = self.parts[m].head.as_ref();
        head.map(|head| head.call(&features[m..=m], false)).transpose()
    }
}
