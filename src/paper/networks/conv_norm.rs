//! A convolution with batch norm.

use tch::{Tensor, nn};

use super::{Initialisation, convolution::Convolution};

/// A square convolution followed by batch norm.
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

    pub(super) fn forward(&self, input: &Tensor, train: bool) -> Tensor {
        self.convolution.forward(input, None).apply_t(&self.norm, train)
    }

    /// [`forward`](Self::forward), equal up to rounding. In evaluation, batch norm is folded into the
    /// convolution unless a sample has fewer outputs than there are weights: with s = γ / √(σ² + ε), the
    /// weights are s·w and the bias is β − s·μ.
    pub(super) fn forward_folded(&self, input: &Tensor, train: bool) -> Tensor {
        let Self { convolution, norm } = self;
        if train || convolution.outputs(input) < convolution.weight.numel() as i64 {
            return self.forward(input, train);
        }
        let scale = (&norm.running_var + nn::BatchNormConfig::default().eps).rsqrt();
        let scale = match &norm.ws {
            Some(gamma) => scale * gamma,
            None => scale,
        };
        let bias = -&norm.running_mean * &scale;
        let bias = match &norm.bs {
            Some(beta) => bias + beta,
            None => bias,
        };
        let weight = &convolution.weight * scale.view([-1, 1, 1, 1]);
        convolution.with_weight(weight).forward(input, Some(&bias))
    }
}
