//! ResNet-18 without its classifier.

use tch::{Tensor, nn, nn::ModuleT};

use super::{Initialisation, conv_norm::ConvNorm};

/// [`Backbone::ResNet18`](super::Backbone::ResNet18): [B, channels, H, W] → [B, 512]. The parameters
/// have torchvision's names.
#[derive(Debug)]
pub(super) struct ResNet18 {
    stem: ConvNorm,
    blocks: Vec<BasicBlock>,
}

impl ResNet18 {
    pub(super) const WIDTH: i64 = 512;
    const STEM: i64 = 64;

    /// Registers `path.conv1`, `path.bn1` and `path.layer{1..4}.{0,1}`.
    pub(super) fn new(path: &nn::Path<'_>, channels: i64, init: Initialisation) -> Self {
        let at = [path / "conv1", path / "bn1"];
        let stem = ConvNorm::new(at, [channels, Self::STEM], [7, 2, 3], init);
        let mut blocks = Vec::new();
        let mut width = Self::STEM;
        for (i, (output, stride)) in [(64, 1), (128, 2), (256, 2), (512, 2)].into_iter().enumerate()
        {
            let layer = path / format!("layer{}", i + 1);
            blocks.push(BasicBlock::new(&(&layer / "0"), [width, output], stride, init));
            blocks.push(BasicBlock::new(&(&layer / "1"), [output, output], 1, init));
            width = output;
        }
        Self { stem, blocks }
    }
}

impl ModuleT for ResNet18 {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let stem = self.stem.forward_folded(input, train);
        // The order of ReLU and max-pooling changes no value and no gradient, and this one is faster.
        let pooled = stem.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false).relu_();
        let maps = self.blocks.iter().fold(pooled, |x, block| block.forward_t(&x, train));
        maps.mean_dim([2_i64, 3].as_slice(), false, None)
    }
}

/// Two 3×3 convolutions and a shortcut connection.
#[derive(Debug)]
struct BasicBlock {
    first: ConvNorm,
    second: ConvNorm,
    downsample: Option<ConvNorm>,
}

impl BasicBlock {
    fn new(path: &nn::Path<'_>, widths: [i64; 2], stride: i64, init: Initialisation) -> Self {
        let [input, output] = widths;
        let first = ConvNorm::new([path / "conv1", path / "bn1"], widths, [3, stride, 1], init);
        let at = [path / "conv2", path / "bn2"];
        let second = ConvNorm::new(at, [output, output], [3, 1, 1], init);
        let downsample = (stride != 1 || input != output).then(|| {
            let path = path / "downsample";
            ConvNorm::new([&path / "0", &path / "1"], widths, [1, stride, 0], init)
        });
        Self { first, second, downsample }
    }
}

impl ModuleT for BasicBlock {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let inner = self.first.forward_folded(input, train).relu_();
        let mut sum = self.second.forward_folded(&inner, train);
        sum += match &self.downsample {
            Some(downsample) => downsample.forward_folded(input, train),
            None => input.shallow_clone(),
        };
        sum.relu_()
    }
}
