//! Student and teacher made of encoders.

use tch::{Tensor, nn, nn::Module, nn::ModuleT};

use super::{Encoder, LateFusion};
use crate::{Batch, Modality, ModalityParams, ModuleTeacher, Result, Student};

/// An encoder per modality (`{modality}_net`) and late fusion (`fusion_module`): the student.
#[derive(Debug)]
pub struct FusionClassifier {
    modalities: Vec<Modality>,
    encoders: Vec<Encoder>,
    fusion: LateFusion,
}

impl FusionClassifier {
    /// Registers the network in `vs`; `modalities` are names and input channels.
    pub fn new(vs: &nn::VarStore, modalities: &[(Modality, i64)], classes: i64) -> Self {
        let root = vs.root();
        let encoder = |(m, channels): &(Modality, i64)| Encoder::new(&(&root / net(m)), *channels);
        let encoders: Vec<_> = modalities.iter().map(encoder).collect();
        let widths = vec![Encoder::WIDTH; encoders.len()];
        let fusion = LateFusion::new(&(&root / "fusion_module"), &widths, classes);
        Self { modalities: modalities.iter().map(|(m, _)| m.clone()).collect(), encoders, fusion }
    }

    /// Which parameters of `vs` are which encoder's.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `vs` is not the store that the network is in.
    pub fn encoder_params(&self, vs: &nn::VarStore) -> Result<ModalityParams> {
        ModalityParams::by_prefix(vs, self.modalities.iter().map(|m| (m.clone(), net(m))))
    }
}

fn net(modality: &Modality) -> String {
    format!("{modality}_net")
}

impl Student for FusionClassifier {
    fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward_t(batch.input(m), train))
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(self.fusion.forward(features))
    }

    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        Some(self.fusion.unimodal_logits(m, features))
    }
}

/// An encoder (`net`) and a linear head (`classifier`): the teacher, before it is frozen.
#[derive(Debug)]
pub struct UnimodalClassifier {
    net: Encoder,
    classifier: nn::Linear,
}

impl UnimodalClassifier {
    /// Registers the network in `vs`.
    pub fn new(vs: &nn::VarStore, channels: i64, classes: i64) -> Self {
        let net = Encoder::new(&(vs.root() / "net"), channels);
        let head = vs.root() / "classifier";
        Self { net, classifier: nn::linear(head, Encoder::WIDTH, classes, Default::default()) }
    }

    /// Features [B, d] and logits [B, C] for inputs [B, …].
    pub fn forward(&self, input: &Tensor, train: bool) -> (Tensor, Tensor) {
        let features = self.net.forward_t(input, train);
        let logits = self.classifier.forward(&features);
        (features, logits)
    }

    /// Freezes it, with `vs`, into a teacher of `modality`.
    pub fn into_teacher(self, modality: Modality, vs: &mut nn::VarStore) -> ModuleTeacher {
        ModuleTeacher::new(modality, vs, move |input, train| self.forward(input, train))
    }
}
