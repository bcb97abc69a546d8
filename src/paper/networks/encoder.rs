//! The compact convolutional encoder.

use tch::{Tensor, nn, nn::ModuleT};

use super::{Initialisation, backbone::Foldable, conv_norm::ConvNorm};

/// Three blocks of 3×3 convolution, batch norm and ReLU (16, 32, 64 channels), 2×2 max-pooling after
/// the first two, global average pooling: [B, channels, H, W] → [B, 64].
///
/// Inputs larger than 28×28 are first averaged down to it, so that a spectrogram costs what a digit
/// does.
#[derive(Debug)]
pub struct Encoder {
    blocks: Vec<ConvNorm>,
}

impl Encoder {
    /// Feature width.
    pub const WIDTH: i64 = 64;
    const SIDE: i64 = 28;

    /// Registers `path.conv{1,2,3}` and `path.bn{1,2,3}`.
    pub fn new(path: &nn::Path<'_>, channels: i64, init: Initialisation) -> Self {
        let widths = [channels, 16, 32, Self::WIDTH];
        let block = |i: usize| {
            let at = [path / format!("conv{}", i + 1), path / format!("bn{}", i + 1)];
            ConvNorm::new(at, [widths[i], widths[i + 1]], [3, 1, 1], init)
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
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward_t(&x, train).relu();
            if i < 2 {
                x = x.max_pool2d_default(2);
            }
        }
        x.mean_dim([2_i64, 3].as_slice(), false, None)
    }
}

impl Foldable for Encoder {
    fn folded(&self) -> Box<dyn Foldable> {
        Box::new(Self { blocks: self.blocks.iter().map(ConvNorm::folded).collect() })
    }
}
