//! A convolution with batch norm.

use tch::{Tensor, nn, nn::ModuleT};

use super::{Initialisation, convolution::Convolution};

/// A square convolution followed by batch norm, or both folded into one convolution.
#[derive(Debug)]
pub(super) struct ConvNorm {
    convolution: Convolution,
    norm: Norm,
}

#[derive(Debug)]
enum Norm {
    Batch(nn::BatchNorm),
    /// The bias of the convolution that a batch norm was folded into.
    Folded(Tensor),
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
        Self { convolution, norm: Norm::Batch(init.norm(norm, widths[1])) }
    }

    /// The same function in evaluation as one convolution: with s = γ / √(σ² + ε), the weights s·w
    /// and the bias β − s·μ. The tensors are copies, which later changes of the original do not reach.
    pub(super) fn folded(&self) -> Self {
        let _no_grad = tch::no_grad_guard();
        let weight = &self.convolution.weight;
        let (weight, bias) = match &self.norm {
            Norm::Folded(bias) => (weight.copy(), bias.copy()),
            Norm::Batch(norm) => {
                let mut scale = (&norm.running_var + nn::BatchNormConfig::default().eps).rsqrt();
                if let Some(gamma) = &norm.ws {
                    scale *= gamma;
                }
                let mut bias = -&norm.running_mean * &scale;
                if let Some(beta) = &norm.bs {
                    bias += beta;
                }
                (weight * scale.view([-1, 1, 1, 1]), bias)
            }
        };
        Self { convolution: self.convolution.with_weight(weight), norm: Norm::Folded(bias) }
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        match &self.norm {
            Norm::Batch(norm) => self.convolution.forward(input, None).apply_t(norm, train),
            Norm::Folded(bias) => self.convolution.forward(input, Some(bias)),
        }
    }
}
