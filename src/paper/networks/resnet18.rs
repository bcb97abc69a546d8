//! ResNet-18 without its classifier.

use tch::{Tensor, nn, nn::ModuleT};

use super::Initialisation;

/// ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) up to global
/// average pooling: [B, channels, H, W] → [B, 512].
///
/// Parameters are named as torchvision's and the authors' are.
#[derive(Debug)]
pub struct ResNet18 {
    conv1: nn::Conv2D,
    bn1: nn::BatchNorm,
    blocks: Vec<BasicBlock>,
}

impl ResNet18 {
    /// Feature width.
    pub const WIDTH: i64 = 512;
    const STEM: i64 = 64;

    /// Registers `path.conv1`, `path.bn1` and `path.layer{1..4}.{0,1}`.
    pub fn new(path: &nn::Path<'_>, channels: i64, init: Initialisation) -> Self {
        let conv1 = init.conv(path / "conv1", [channels, Self::STEM], [7, 2, 3]);
        let bn1 = init.norm(path / "bn1", Self::STEM);
        let mut blocks = Vec::new();
        let mut width = Self::STEM;
        for (i, (output, stride)) in [(64, 1), (128, 2), (256, 2), (512, 2)].into_iter().enumerate()
        {
            let layer = path / format!("layer{}", i + 1);
            blocks.push(BasicBlock::new(&(&layer / "0"), [width, output], stride, init));
            blocks.push(BasicBlock::new(&(&layer / "1"), [output, output], 1, init));
            width = output;
        }
        Self { conv1, bn1, blocks }
    }
}

impl ModuleT for ResNet18 {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let stem = input.apply(&self.conv1).apply_t(&self.bn1, train).relu();
        let pooled = stem.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        let maps = self.blocks.iter().fold(pooled, |x, block| block.forward_t(&x, train));
        maps.mean_dim([2_i64, 3].as_slice(), false, None)
    }
}

/// Two 3×3 convolutions around a shortcut.
#[derive(Debug)]
struct BasicBlock {
    conv1: nn::Conv2D,
    bn1: nn::BatchNorm,
    conv2: nn::Conv2D,
    bn2: nn::BatchNorm,
    downsample: Option<(nn::Conv2D, nn::BatchNorm)>,
}

impl BasicBlock {
    fn new(path: &nn::Path<'_>, widths: [i64; 2], stride: i64, init: Initialisation) -> Self {
        let [input, output] = widths;
        let downsample = (stride != 1 || input != output).then(|| {
            let path = path / "downsample";
            (init.conv(&path / "0", widths, [1, stride, 0]), init.norm(&path / "1", output))
        });
        Self {
            conv1: init.conv(path / "conv1", widths, [3, stride, 1]),
            bn1: init.norm(path / "bn1", output),
            conv2: init.conv(path / "conv2", [output, output], [3, 1, 1]),
            bn2: init.norm(path / "bn2", output),
            downsample,
        }
    }
}

impl ModuleT for BasicBlock {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let inner = input.apply(&self.conv1).apply_t(&self.bn1, train).relu();
        let inner = inner.apply(&self.conv2).apply_t(&self.bn2, train);
        let shortcut = match &self.downsample {
            Some((conv, norm)) => input.apply(conv).apply_t(norm, train),
            None => input.shallow_clone(),
        };
        (inner + shortcut).relu()
    }
}
