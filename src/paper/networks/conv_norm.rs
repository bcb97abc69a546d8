//! A convolution with batch norm.

use tch::{Tensor, nn, nn::ModuleT};

use super::Initialisation;

/// A square convolution followed by batch norm, or both folded into one convolution.
#[derive(Debug)]
pub(super) struct ConvNorm {
    weight: Tensor,
    stride: i64,
    padding: i64,
    norm: Norm,
}

#[derive(Debug)]
enum Norm {
    Batch(nn::BatchNorm),
    /// The bias of the convolution that a batch norm was folded into.
    Folded(Tensor),
}

impl ConvNorm {
    /// Registers the convolution, without bias, at the first path and the norm at the second.
    pub(super) fn new(
        [conv, norm]: [nn::Path<'_>; 2],
        widths: [i64; 2],
        [kernel, stride, padding]: [i64; 3],
        init: Initialisation,
    ) -> Self {
        let weight = init.conv(conv, widths, [kernel, stride, padding]).ws;
        Self { weight, stride, padding, norm: Norm::Batch(init.norm(norm, widths[1])) }
    }

    /// The same function in evaluation as one convolution: with s = γ / √(σ² + ε), the weights s·w
    /// and the bias β − s·μ. The tensors are copies, which later changes of the original do not reach.
    pub(super) fn folded(&self) -> Self {
        let _no_grad = tch::no_grad_guard();
        let (weight, bias) = match &self.norm {
            Norm::Folded(bias) => (self.weight.copy(), bias.copy()),
            Norm::Batch(norm) => {
                let mut scale = (&norm.running_var + nn::BatchNormConfig::default().eps).rsqrt();
                if let Some(gamma) = &norm.ws {
                    scale *= gamma;
                }
                let mut bias = -&norm.running_mean * &scale;
                if let Some(beta) = &norm.bs {
                    bias += beta;
                }
                (&self.weight * scale.view([-1, 1, 1, 1]), bias)
            }
        };
        Self { weight, norm: Norm::Folded(bias), ..*self }
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let conv = |bias: Option<&Tensor>| {
            input.conv2d(&self.weight, bias, [self.stride; 2], [self.padding; 2], [1, 1], 1)
        };
        match &self.norm {
            Norm::Batch(norm) => conv(None).apply_t(norm, train),
            Norm::Folded(bias) => conv(Some(bias)),
        }
    }
}
