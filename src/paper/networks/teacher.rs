//! One encoder and a head.

use tch::{Tensor, nn, nn::Module};

use super::backbone::Net;
use super::{Backbone, Initialisation};
use crate::{
    batch::Batch,
    error::{self, Result},
    modality::Modality,
    teacher::{Teacher, TeacherOutput, UnimodalModel},
};

/// An encoder (`net`) and a linear head (`classifier`): the teacher, before it is frozen.
#[derive(Debug)]
pub struct UnimodalClassifier {
    net: Net,
    classifier: nn::Linear,
}

impl UnimodalClassifier {
    /// Registers the network in `vs` for inputs with `channels` channels.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a number of channels or classes below 1.
    pub fn new(
        vs: &nn::VarStore,
        channels: i64,
        classes: i64,
        backbone: Backbone,
        init: Initialisation,
    ) -> Result<Self> {
        if classes < 1 {
            return Err(error::config(
                "classes of UnimodalClassifier",
                "at least 1",
                format!("{classes}"),
                "pass the data set's number of classes",
            ));
        }
        let net = Net::new(&(vs.root() / "net"), backbone, channels, init)?;
        let classifier = init.linear(vs.root() / "classifier", backbone.width(), classes);
        Ok(Self { net, classifier })
    }

    /// Features [B, d] and logits [B, C] of images [B, channels, H, W] or videos
    /// [B, channels, T, H, W].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::error::Error::Shape), [`Error::Kind`](crate::error::Error::Kind) or
    /// [`Error::Device`](crate::error::Error::Device) for an input that does not fit.
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<(Tensor, Tensor)> {
        let features = self.net.forward("a unimodal classifier", input, train)?;
        let logits = self.classifier.forward(&features);
        Ok((features, logits))
    }

    /// Freezes it, with `vs`, into a teacher of `modality`.
    pub fn into_teacher(
        self,
        modality: impl Into<Modality>,
        vs: &mut nn::VarStore,
    ) -> UnimodalTeacher {
        vs.freeze();
        UnimodalTeacher { modality: modality.into(), classifier: self }
    }

    /// As [`into_teacher`](Self::into_teacher), with every batch norm folded into the convolution
    /// before it: the same numbers to 1e-5, in fewer passes over memory.
    ///
    /// The folded weights are copies, in the layout of the originals
    /// ([`channels_last`](crate::weights::channels_last)): load weights into `vs` and choose its device first.
    pub fn into_folded_teacher(
        self,
        modality: impl Into<Modality>,
        vs: &mut nn::VarStore,
    ) -> UnimodalTeacher {
        let folded = Self { net: self.net.folded(), classifier: self.classifier };
        folded.into_teacher(modality, vs)
    }
}

impl UnimodalModel for UnimodalClassifier {
    fn forward(&self, input: &Tensor, train: bool) -> Result<(Tensor, Tensor)> {
        self.forward(input, train)
    }
}

/// A [`UnimodalClassifier`], frozen.
#[derive(Debug)]
pub struct UnimodalTeacher {
    modality: Modality,
    classifier: UnimodalClassifier,
}

impl Teacher for UnimodalTeacher {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let _no_grad = tch::no_grad_guard();
        let (features, logits) = self.classifier.forward(batch.input(m), false)?;
        Ok(TeacherOutput { features, logits, host: None })
    }
}
