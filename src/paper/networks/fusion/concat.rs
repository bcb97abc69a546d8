//! One head over all features.

use tch::{Tensor, nn, nn::Module};

use super::super::Initialisation;
use super::{Fusion, with_share_of_bias};

/// logits = fc_out([f^1, …, f^k]). Modality m's logits are W_m f^m + b/k, with W_m the columns of
/// its features: their sum is the fused logits.
#[derive(Debug)]
pub struct ConcatFusion {
    head: nn::Linear,
    k: usize,
}

impl ConcatFusion {
    /// Registers `path.fc_out`.
    pub fn new(
        path: &nn::Path<'_>,
        k: usize,
        width: i64,
        classes: i64,
        init: Initialisation,
    ) -> Self {
        Self { head: init.linear(path / "fc_out", width * k as i64, classes), k }
    }
}

impl Fusion for ConcatFusion {
    fn forward(&self, features: &[Tensor]) -> Tensor {
        self.head.forward(&Tensor::cat(features, 1))
    }

    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        Some(self.authors_unimodal_logits(m, features))
    }

    fn authors_unimodal_logits(&self, m: usize, features: &[Tensor]) -> Tensor {
        let width = self.head.ws.size()[1] / self.k as i64;
        let own = self.head.ws.narrow(1, width * m as i64, width);
        with_share_of_bias(&own, self.head.bs.as_ref(), self.k, &features[m])
    }
}
