//! Feature-wise linear modulation.

use tch::{Tensor, nn, nn::Module};

use super::super::Initialisation;
use super::{Fusion, with_share_of_bias};

/// γ, β = fc(x) in halves; logits = fc_out(γ·y + β) of the first modality's features x and the
/// second's y.
///
/// The authors score a modality by letting its features z play both parts:
/// W (γ(z)·z + β(z)) + b/2. The fused model never computes that.
#[derive(Debug)]
pub struct FilmFusion {
    film: nn::Linear,
    head: nn::Linear,
}

impl FilmFusion {
    /// Registers `path.fc` and `path.fc_out`.
    pub fn new(path: &nn::Path<'_>, width: i64, classes: i64, init: Initialisation) -> Self {
        Self {
            film: init.linear(path / "fc", width, 2 * width),
            head: init.linear(path / "fc_out", width, classes),
        }
    }

    /// γ(by)·on + β(by).
    fn film(&self, by: &Tensor, on: &Tensor) -> Tensor {
        let halves = self.film.forward(by).chunk(2, 1);
        &halves[0] * on + &halves[1]
    }
}

impl Fusion for FilmFusion {
    fn forward(&self, features: &[Tensor]) -> Tensor {
        self.head.forward(&self.film(&features[0], &features[1]))
    }

    fn unimodal_logits(&self, _m: usize, _features: &[Tensor]) -> Option<Tensor> {
        None
    }

    fn authors_unimodal_logits(&self, m: usize, features: &[Tensor]) -> Tensor {
        let z = self.film(&features[m], &features[m]);
        with_share_of_bias(&self.head.ws, self.head.bs.as_ref(), 2, &z)
    }
}
