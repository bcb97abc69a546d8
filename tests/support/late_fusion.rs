//! A late fusion with weights.

use g2d::{
    Batch, Features, Modality, ModalityParams, Result, Student,
    calibration::{FusionWeights, late_fusion},
};
use tch::{Device, Kind, Tensor, nn, nn::Module};

use super::{CLASSES, INPUT, WIDTH, fill, names};

/// k encoders `m0`, `m1`, … of one layer, a head for each, `head_m0`, …, and the weighted sum of the heads.
pub struct LateFusion {
    pub vs: nn::VarStore,
    names: Vec<Modality>,
    encoders: Vec<nn::Linear>,
    heads: Vec<nn::Linear>,
    weights: Tensor,
}

impl LateFusion {
    /// A student in `kind` for the inputs of `Tiny::linear`.
    pub fn new(weights: &[f64], kind: Kind) -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let (root, names) = (vs.root(), names(weights.len()));
        let linear = |name: String, width, outputs| {
            nn::linear(&root / name, width, outputs, Default::default())
        };
        let encoders = names.iter().map(|m| linear(m.to_string(), INPUT, WIDTH)).collect();
        let heads = names.iter().map(|m| linear(format!("head_{m}"), WIDTH, CLASSES)).collect();
        let weights = FusionWeights::new(weights).unwrap().register(&root);
        vs.set_kind(kind);
        fill(&vs, 0.3);
        Self { vs, names, encoders, heads, weights }
    }

    pub fn params(&self) -> ModalityParams {
        ModalityParams::by_name(&self.vs, &self.names).unwrap()
    }
}

impl Student for LateFusion {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)).tanh())
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        let logits: Vec<_> =
            self.heads.iter().zip(features.iter()).map(|(head, own)| head.forward(own)).collect();
        late_fusion(&self.weights, &logits, features.rows())
    }

    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![WIDTH])
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        Ok(Some(self.heads[m].forward(&features[m])))
    }
}
