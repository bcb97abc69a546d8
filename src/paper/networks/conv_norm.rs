//! What the encoders are built of.

use tch::{Tensor, nn, nn::ModuleT};

use super::Initialisation;

/// A square convolution and the batch norm behind it, or both in one.
#[derive(Debug)]
pub(super) struct ConvNorm {
    weight: Tensor,
    stride: i64,
    padding: i64,
    behind: Behind,
}

/// What comes after the convolution.
#[derive(Debug)]
enum Behind {
    Norm(nn::BatchNorm),
    /// What is left of a folded norm.
    Bias(Tensor),
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
        let behind = Behind::Norm(init.norm(norm, widths[1]));
        Self { weight, stride, padding, behind }
    }

    /// The same map in evaluation as one convolution: with s = γ / √(σ² + ε), weights s·w and bias
    /// β − s·μ. Weights of its own; what happens to the original's later does not reach it.
    pub(super) fn folded(&self) -> Self {
        let _no_grad = tch::no_grad_guard();
        let (weight, bias) = match &self.behind {
            Behind::Bias(bias) => (self.weight.copy(), bias.copy()),
            Behind::Norm(norm) => {
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
        Self { weight, behind: Behind::Bias(bias), ..*self }
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let bias = match &self.behind {
            Behind::Norm(_) => None,
            Behind::Bias(bias) => Some(bias),
        };
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let maps = input.conv2d(&self.weight, bias, stride, padding, [1, 1], 1);
        match &self.behind {
            Behind::Norm(norm) => maps.apply_t(norm, train),
            Behind::Bias(_) => maps,
        }
    }
}
