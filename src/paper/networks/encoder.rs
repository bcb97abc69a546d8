//! The compact convolutional encoder.

use tch::{Tensor, nn, nn::ModuleT};

use super::Initialisation;

/// Three blocks of 3×3 convolution, batch norm and ReLU (16, 32, 64 channels), 2×2 max-pooling after
/// the first two, global average pooling: [B, channels, H, W] → [B, 64].
///
/// Inputs larger than 28×28 are first averaged down to it, so that a spectrogram costs what a digit
/// does.
#[derive(Debug)]
pub struct Encoder {
    blocks: Vec<(nn::Conv2D, nn::BatchNorm)>,
}

impl Encoder {
    /// Feature width.
    pub const WIDTH: i64 = 64;
    const SIDE: i64 = 28;

    /// Registers `path.conv{1,2,3}` and `path.bn{1,2,3}`.
    pub fn new(path: &nn::Path<'_>, channels: i64, init: Initialisation) -> Self {
        let widths = [channels, 16, 32, Self::WIDTH];
        let block = |i: usize| {
            let (input, output) = (widths[i], widths[i + 1]);
            let conv = init.conv(path / format!("conv{}", i + 1), [input, output], [3, 1, 1]);
            (conv, init.norm(path / format!("bn{}", i + 1), output))
        };
        Self { blocks: (0..3).map(block).collect() }
    }
}

impl ModuleT for Encoder {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let large = input.size()[2..].iter().any(|&side| side > Self::SIDE);
        let mut x = if large {
            input.adaptive_avg_pool2d([Self::SIDE, Self::SIDE])
        } else {
            input.shallow_clone()
        };
        for (i, (conv, norm)) in self.blocks.iter().enumerate() {
            x = x.apply(conv).apply_t(norm, train).relu();
            if i < 2 {
                x = x.max_pool2d_default(2);
            }
        }
        x.mean_dim([2_i64, 3].as_slice(), false, None)
    }
}
