//! A convolution with batch norm.

use tch::{Tensor, nn, nn::ModuleT};

use super::{Initialisation, convolution::Convolution};

/// A square convolution followed by batch norm.
///
/// In evaluation, batch norm is folded into the convolution unless a sample has fewer outputs than there are
/// weights: with s = γ / √(σ² + ε), the weights are s·w and the bias is β − s·μ.
#[derive(Debug)]
pub(super) struct ConvNorm {
    convolution: Convolution,
    norm: nn::BatchNorm,
}

impl ConvNorm {
    /// Registers the convolution, without bias, at the first path and the norm at the second. `shape` is
    /// the side of the kernel, the stride and the padding.
    pub(super) fn new(
        [conv, norm]: [nn::Path<'_>; 2],
        widths: [i64; 2],
        shape: [i64; 3],
        init: Initialisation,
    ) -> Self {
        let convolution = Convolution::new(conv, widths, shape, init);
        Self { convolution, norm: init.norm(norm, widths[1]) }
    }

    /// The output in evaluation, by one convolution.
    fn folded(&self, input: &Tensor) -> Tensor {
        let Self { convolution, norm } = self;
        let mut scale = (&norm.running_var + nn::BatchNormConfig::default().eps).rsqrt();
        if let Some(gamma) = &norm.ws {
            scale = scale * gamma;
        }
        let mut bias = -&norm.running_mean * &scale;
        if let Some(beta) = &norm.bs {
            bias = bias + beta;
        }
        let weight = &convolution.weight * scale.view([-1, 1, 1, 1]);
        convolution.with_weight(weight).forward(input, Some(&bias))
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let convolution = &self.convolution;
        let few = convolution.outputs(input) < convolution.weight.numel() as i64;
        if train || few {
            convolution.forward(input, None).apply_t(&self.norm, train)
        } else {
            self.folded(input)
        }
    }
}
