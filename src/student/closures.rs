//! A student from closures.

use std::fmt;

use tch::Tensor;

use super::{Features, Student};
use crate::batch::{Batch, Input};
use crate::error::{self, Result};
use crate::modality::Modality;

type Encoder<'a> = dyn Fn(&Input, bool) -> Result<Tensor> + 'a;
type Fusion<'a> = dyn Fn(&Features<'_>, bool) -> Result<Tensor> + 'a;
/// A function of the features of one modality, and of all.
type OfFeatures<'a> = dyn Fn(&Tensor, &Features<'_>) -> Result<Tensor> + 'a;

/// A [`Student`] whose encoders, fusion and heads are closures.
///
/// The order of the calls of [`encoder`](ClosuresBuilder::encoder) is the order of the modalities.
/// Closures may borrow: layers that several of them use stay outside.
///
/// # Example
/// ```
/// use g2d::{Batch, Student, student::Closures};
/// use tch::{Device, Kind, Tensor, nn, nn::Module};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let linear = |name: &str, from, to| nn::linear(vs.root() / name, from, to, Default::default());
/// let (audio, words) = (linear("audio", 8, 4), linear("text", 6, 4));
/// let [audio_head, text_head] = ["audio_head", "text_head"].map(|name| linear(name, 4, 3));
///
/// let student = Closures::builder()
///     .encoder("audio", |input, _train| Ok(audio.forward(input).relu()))
///     .encoder("text", |input, _train| {
///         let mask = input.tensor("mask")?.unsqueeze(-1);
///         Ok((words.forward(input) * &mask).f_sum_dim_intlist(1, false, None)?)
///     })
///     .head("audio", |own, _features| Ok(audio_head.forward(own)))
///     .head("text", |own, _features| Ok(text_head.forward(own)))
///     .fusion(|features, _train| {
///         Ok((audio_head.forward(&features[0]) + text_head.forward(&features[1])) / 2.0)
///     })
///     .build()?;
///
/// let float = (Kind::Float, Device::Cpu);
/// let text = g2d::batch::Input::new("words", Tensor::randn([5, 9, 6], float))
///     .with("mask", Tensor::ones([5, 9], float));
/// let batch = Batch::new([Tensor::randn([5, 8], float).into(), text], Tensor::zeros([5], float));
/// assert_eq!(g2d::evaluate(&student, [Ok(batch)])?.logits.size(), [5, 3]);
/// # Ok::<(), g2d::Error>(())
/// ```
pub struct Closures<'a> {
    modalities: Vec<Modality>,
    parts: Vec<Parts<'a>>,
    fusion: Box<Fusion<'a>>,
}

/// What belongs to one modality.
struct Parts<'a> {
    encoder: Box<Encoder<'a>>,
    shape: Option<Vec<i64>>,
    distilled: Option<Box<OfFeatures<'a>>>,
    head: Option<Box<OfFeatures<'a>>>,
}

impl<'a> Closures<'a> {
    /// A builder without parts.
    pub fn builder() -> ClosuresBuilder<'a> {
        ClosuresBuilder { encoders: Vec::new(), optional: Vec::new(), fusion: None }
    }
}

/// Builds a [`Closures`]; [`build`](Self::build) checks.
#[must_use]
pub struct ClosuresBuilder<'a> {
    encoders: Vec<(Modality, Box<Encoder<'a>>)>,
    optional: Vec<(Modality, Optional<'a>)>,
    fusion: Option<Box<Fusion<'a>>>,
}

/// An optional part of a modality.
enum Optional<'a> {
    Shape(Vec<i64>),
    Distilled(Box<OfFeatures<'a>>),
    Head(Box<OfFeatures<'a>>),
}

impl<'a> ClosuresBuilder<'a> {
    /// Adds a modality: its encoder computes the features [B, d, …] of an input, as
    /// [`Student::encode`]; the second argument is whether it trains. Required for every modality.
    pub fn encoder(
        mut self,
        modality: impl Into<Modality>,
        encode: impl Fn(&Input, bool) -> Result<Tensor> + 'a,
    ) -> Self {
        self.encoders.push((modality.into(), Box::new(encode)));
        self
    }

    /// Sets the fusion, which computes logits or predictions [B, C], as [`Student::fuse`]. Required.
    pub fn fusion(mut self, fuse: impl Fn(&Features<'_>, bool) -> Result<Tensor> + 'a) -> Self {
        self.fusion = Some(Box::new(fuse));
        self
    }

    /// Sets the unimodal head of a modality, as [`Student::unimodal_logits`]: logits [B, C] from its
    /// features; the second argument is the features of all modalities, for masks of the input.
    pub fn head(
        self,
        modality: impl Into<Modality>,
        logits: impl Fn(&Tensor, &Features<'_>) -> Result<Tensor> + 'a,
    ) -> Self {
        self.with(modality, Optional::Head(Box::new(logits)))
    }

    /// Sets what L_feat compares with the teacher of a modality, as [`Student::distilled_features`]: a
    /// tensor [B, d] from its features, with the arguments of [`head`](Self::head). By default the
    /// features.
    pub fn distilled(
        self,
        modality: impl Into<Modality>,
        distilled: impl Fn(&Tensor, &Features<'_>) -> Result<Tensor> + 'a,
    ) -> Self {
        self.with(modality, Optional::Distilled(Box::new(distilled)))
    }

    /// Sets the shape of one sample's features, as [`Student::feature_shape`]: needed for batches in which
    /// no sample has the modality.
    pub fn feature_shape(self, modality: impl Into<Modality>, shape: impl Into<Vec<i64>>) -> Self {
        self.with(modality, Optional::Shape(shape.into()))
    }

    fn with(mut self, modality: impl Into<Modality>, part: Optional<'a>) -> Self {
        self.optional.push((modality.into(), part));
        self
    }

    /// Builds the student.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) without an encoder or a fusion, for invalid names
    /// ([`Modality::check_names`]), and for a part of a modality that has no encoder.
    pub fn build(self) -> Result<Closures<'a>> {
        let (modalities, encoders): (Vec<_>, Vec<_>) = self.encoders.into_iter().unzip();
        let missing = |method: &str| {
            let expected = format!("a call of `{method}`");
            error::config("student from closures", expected, "none", "add it before `build`")
        };
        if modalities.is_empty() {
            return Err(missing("encoder"));
        }
        Modality::check_names(&modalities)?;
        let fusion = self.fusion.ok_or_else(|| missing("fusion"))?;
        let parts = |encoder| Parts { encoder, shape: None, distilled: None, head: None };
        let mut parts: Vec<_> = encoders.into_iter().map(parts).collect();
        for (modality, optional) in self.optional {
            let Some(m) = modalities.iter().position(|other| *other == modality) else {
                let what = "modality of a head, distilled features or a feature shape";
                let (expected, found) = (format!("one of {modalities:?}"), format!("{modality:?}"));
                return Err(error::config(
                    what,
                    expected,
                    found,
                    "add its encoder, or correct the name",
                ));
            };
            match optional {
                Optional::Shape(shape) => parts[m].shape = Some(shape),
                Optional::Distilled(distilled) => parts[m].distilled = Some(distilled),
                Optional::Head(head) => parts[m].head = Some(head),
            }
        }
        Ok(Closures { modalities, parts, fusion })
    }
}

impl Student for Closures<'_> {
    fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        (self.parts[m].encoder)(batch.checked_input(m)?, train)
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        (self.fusion)(features, train)
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.parts[m].shape.clone()
    }

    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        let distilled = |(parts, own): (&Parts<'_>, &Tensor)| match &parts.distilled {
            Some(distilled) => distilled(own, features),
            None => Ok(own.shallow_clone()),
        };
        self.parts.iter().zip(features.iter()).map(distilled).collect()
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        self.parts[m].head.as_ref().map(|head| head(&features[m], features)).transpose()
    }
}

impl fmt::Debug for Closures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closures").field("modalities", &self.modalities).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClosuresBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let modalities: Vec<_> = self.encoders.iter().map(|(modality, _)| modality).collect();
        f.debug_struct("ClosuresBuilder").field("modalities", &modalities).finish_non_exhaustive()
    }
}
