//! The compact convolutional encoder.

use tch::{Tensor, nn, nn::ModuleT};

use super::{Initialisation, conv_norm::ConvNorm};

/// [`Backbone::Compact`](super::Backbone::Compact): [B, channels, H, W] → [B, 64].
#[derive(Debug)]
pub(super) struct CompactEncoder {
    blocks: Vec<ConvNorm>,
}

impl CompactEncoder {
    pub(super) const WIDTH: i64 = 64;
    /// Two max-poolings halve the sides.
    pub(super) const LEAST_SIDE: i64 = 4;
    const GREATEST_SIDE: i64 = 28;

    /// Registers `path.conv{1,2,3}` and `path.bn{1,2,3}`.
    pub(super) fn new(path: &nn::Path<'_>, channels: i64, init: Initialisation) -> Self {
        let widths = [channels, 16, 32, Self::WIDTH];
        let block = |i: usize| {
            let at = [path / format!("conv{}", i + 1), path / format!("bn{}", i + 1)];
            ConvNorm::new(at, [widths[i], widths[i + 1]], [3, 1, 1], init)
        };
        Self { blocks: (0..3).map(block).collect() }
    }
}

impl ModuleT for CompactEncoder {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let large = input.size()[2..].iter().any(|&side| side > Self::GREATEST_SIDE);
        let mut x = match large {
            true => input.adaptive_avg_pool2d([Self::GREATEST_SIDE; 2]),
            false => input.shallow_clone(),
        };
        for (i, block) in self.blocks.iter().enumerate() {
            // Batch norm is not folded in evaluation, so that published results are repeated to the last bit.
            x = block.forward(&x, train);
            // The order of ReLU and max-pooling changes no value and no gradient, and this one is faster.
            if i < 2 {
                x = x.max_pool2d_default(2);
            }
            x = x.relu_();
        }
        x.mean_dim([2_i64, 3].as_slice(), false, None)
    }
}
