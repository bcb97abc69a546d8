//! Gated fusion.

use tch::{Tensor, nn, nn::Module};

use super::super::Initialisation;
use super::{Fusion, with_share_of_bias};

/// logits = fc_out(sigmoid(fc_x(x)) · fc_y(y)) of the first modality's features x and the second's
/// y.
///
/// The authors score a modality by its projection alone, W fc_x(x) + b/2 and W fc_y(y) + b/2, which
/// the fused model never computes, and distil the teachers' features into the projections.
#[derive(Debug)]
pub struct GatedFusion {
    projections: [nn::Linear; 2],
    head: nn::Linear,
}

impl GatedFusion {
    /// Registers `path.fc_x`, `path.fc_y` and `path.fc_out`.
    pub fn new(path: &nn::Path<'_>, width: i64, classes: i64, init: Initialisation) -> Self {
        Self {
            projections: ["fc_x", "fc_y"].map(|name| init.linear(path / name, width, width)),
            head: init.linear(path / "fc_out", width, classes),
        }
    }

    fn project(&self, m: usize, features: &[Tensor]) -> Tensor {
        self.projections[m].forward(&features[m])
    }
}

impl Fusion for GatedFusion {
    fn forward(&self, features: &[Tensor]) -> Tensor {
        let gate = self.project(0, features).sigmoid();
        self.head.forward(&(gate * self.project(1, features)))
    }

    fn unimodal_logits(&self, _m: usize, _features: &[Tensor]) -> Option<Tensor> {
        None
    }

    fn authors_unimodal_logits(&self, m: usize, features: &[Tensor]) -> Tensor {
        let z = self.project(m, features);
        with_share_of_bias(&self.head.ws, self.head.bs.as_ref(), 2, &z)
    }

    fn gated_projection(&self, features: &[Tensor]) -> Option<Vec<Tensor>> {
        Some(vec![self.project(0, features), self.project(1, features)])
    }
}
