//! One encoder and a head.

use std::path::Path;

use tch::{
    Tensor,
    nn::{self, Module},
};

use super::encoder::CheckedEncoder;
use super::student::check_outputs;
use super::{EncoderConfig, pretrained};
use crate::{
    batch::Batch,
    error::Result,
    modality::Modality,
    teacher::{Teacher, TeacherOutput, UnimodalModel},
};

/// An encoder (`net`) and a linear head (`head`): the teacher, before it is frozen.
#[derive(Debug)]
pub struct UnimodalNetwork {
    encoder: CheckedEncoder,
    head: nn::Linear,
}

impl UnimodalNetwork {
    /// Registers the network in `vs`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for an encoder that cannot work, or no output.
    pub fn new(vs: &nn::VarStore, encoder: &EncoderConfig, outputs: i64) -> Result<Self> {
        check_outputs(outputs)?;
        let width = encoder.width();
        let encoder = CheckedEncoder::new(&(vs.root() / "net"), encoder)?;
        let head = nn::linear(vs.root() / "head", width, outputs, Default::default());
        Ok(Self { encoder, head })
    }

    /// Features [B, d] and predictions [B, C].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::error::Error::Shape), [`Error::Kind`](crate::error::Error::Kind) or
    /// [`Error::Device`](crate::error::Error::Device) for an input that does not fit.
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<(Tensor, Tensor)> {
        let features = self.encoder.forward("a unimodal network", input, train)?;
        let predictions = self.head.forward(&features);
        Ok((features, predictions))
    }

    /// Starts the backbone from ImageNet weights, as
    /// [`MixedNetwork::load_image_weights`](super::MixedNetwork::load_image_weights).
    ///
    /// # Errors
    /// As there.
    pub fn load_image_weights(&self, vs: &nn::VarStore, file: impl AsRef<Path>) -> Result<()> {
        let backbone = self.encoder.config().backbone();
        let images: Vec<_> = backbone.map(|b| ("net".to_owned(), b)).into_iter().collect();
        pretrained::load(vs, &images, file.as_ref())
    }

    /// Freezes it, with `vs`, into a teacher of `modality`.
    pub fn into_teacher(
        self,
        modality: impl Into<Modality>,
        vs: &mut nn::VarStore,
    ) -> FrozenNetwork {
        vs.freeze();
        FrozenNetwork { modality: modality.into(), network: self }
    }
}

impl UnimodalModel for UnimodalNetwork {
    fn forward(&self, input: &Tensor, train: bool) -> Result<(Tensor, Tensor)> {
        self.forward(input, train)
    }
}

/// A [`UnimodalNetwork`], frozen.
#[derive(Debug)]
pub struct FrozenNetwork {
    modality: Modality,
    network: UnimodalNetwork,
}

impl Teacher for FrozenNetwork {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let _no_grad = tch::no_grad_guard();
        let (features, logits) = self.network.forward(batch.input(m), false)?;
        Ok(TeacherOutput { features, logits, host: None })
    }
}
