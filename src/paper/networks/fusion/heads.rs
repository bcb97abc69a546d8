//! A head a modality: sum and late fusion.

use tch::{Tensor, nn, nn::Module};

use super::super::Initialisation;
use super::{Fusion, with_share_of_bias};

/// logits = Σ_m fc_m(f^m).
///
/// Modality m's logits are W_m f^m + b_m/k: the authors' formula, which leaves (k−1)/k of every bias
/// to nobody.
#[derive(Debug)]
pub struct SumFusion {
    heads: Vec<nn::Linear>,
}

/// logits = mean over m of fc_m(f^m): the authors' best fusion. Modality m's logits are fc_m(f^m).
#[derive(Debug)]
pub struct LateFusion {
    heads: Vec<nn::Linear>,
}

/// `path.fc_x`, `path.fc_y` for two modalities as the authors have it; `path.fc_0`, `path.fc_1`, …
/// for more.
fn heads(
    path: &nn::Path<'_>,
    k: usize,
    width: i64,
    classes: i64,
    init: Initialisation,
) -> Vec<nn::Linear> {
    let name = |m: usize| match (k, m) {
        (2, 0) => "fc_x".to_owned(),
        (2, 1) => "fc_y".to_owned(),
        _ => format!("fc_{m}"),
    };
    (0..k).map(|m| init.linear(path / name(m), width, classes)).collect()
}

fn sum(heads: &[nn::Linear], features: &[Tensor]) -> Tensor {
    heads.iter().zip(features).map(|(head, features)| head.forward(features)).sum()
}

impl SumFusion {
    /// Registers a head for each of `k` modalities: `path.fc_x` and `path.fc_y`, or `path.fc_0`,
    /// `path.fc_1`, … for more than two.
    pub fn new(
        path: &nn::Path<'_>,
        k: usize,
        width: i64,
        classes: i64,
        init: Initialisation,
    ) -> Self {
        Self { heads: heads(path, k, width, classes, init) }
    }
}

impl LateFusion {
    /// Registers heads as [`SumFusion::new`] does.
    pub fn new(
        path: &nn::Path<'_>,
        k: usize,
        width: i64,
        classes: i64,
        init: Initialisation,
    ) -> Self {
        Self { heads: heads(path, k, width, classes, init) }
    }
}

impl Fusion for SumFusion {
    fn forward(&self, features: &[Tensor]) -> Tensor {
        sum(&self.heads, features)
    }

    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        Some(self.authors_unimodal_logits(m, features))
    }

    fn authors_unimodal_logits(&self, m: usize, features: &[Tensor]) -> Tensor {
        let head = &self.heads[m];
        with_share_of_bias(&head.ws, head.bs.as_ref(), self.heads.len(), &features[m])
    }
}

impl Fusion for LateFusion {
    fn forward(&self, features: &[Tensor]) -> Tensor {
        sum(&self.heads, features) / self.heads.len() as f64
    }

    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        Some(self.authors_unimodal_logits(m, features))
    }

    fn authors_unimodal_logits(&self, m: usize, features: &[Tensor]) -> Tensor {
        self.heads[m].forward(&features[m])
    }
}
