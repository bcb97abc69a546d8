//! Late fusion.

use tch::{Tensor, nn, nn::Module};

/// logits = mean over m of fc_m(f^m): every modality has a head of its own, and the heads' mean is
/// the answer. The authors' best fusion.
#[derive(Debug)]
pub struct LateFusion {
    heads: Vec<nn::Linear>,
}

impl LateFusion {
    /// Registers `path.fc_x`, `path.fc_y` for two modalities as the authors do, `path.fc_0`,
    /// `path.fc_1`, … for more; `widths` are the encoders'.
    pub fn new(path: &nn::Path<'_>, widths: &[i64], classes: i64) -> Self {
        let name = |m: usize| match (widths.len(), m) {
            (2, 0) => "fc_x".to_owned(),
            (2, 1) => "fc_y".to_owned(),
            _ => format!("fc_{m}"),
        };
        let head = |(m, &width): (usize, &i64)| {
            nn::linear(path / name(m), width, classes, Default::default())
        };
        Self { heads: widths.iter().enumerate().map(head).collect() }
    }

    /// What modality `m` says alone: fc_m(f^m), [B, C].
    pub fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Tensor {
        self.heads[m].forward(&features[m])
    }

    /// The mean of all heads, [B, C].
    pub fn forward(&self, features: &[Tensor]) -> Tensor {
        let sum: Tensor = (0..self.heads.len()).map(|m| self.unimodal_logits(m, features)).sum();
        sum / self.heads.len() as f64
    }
}
