//! A square convolution.

use tch::{Device, Tensor, nn};

use super::Initialisation;

/// A square convolution: [B, I, H, W] → [B, O, H′, W′].
///
/// On the CPU, with weights and input in channels-last layout, one with few positions H′·W′ and many
/// channels O is computed as a matrix product [B·H′·W′, K] × [K, O], where a row holds the inputs that a
/// position sees. oneDNN's convolutions are slow there, and return the gradient of the weights in another
/// layout. Taps of the kernel that see only padding are left out: of a 3×3 kernel on 1×1 inputs, one
/// remains.
#[derive(Debug)]
pub(super) struct Convolution {
    pub weight: Tensor,
    stride: i64,
    padding: i64,
}

impl Convolution {
    /// More positions are not computed as a matrix product, since copying the inputs takes longer than the
    /// product saves (docs/performance.md).
    const POSITIONS: usize = 25;
    /// Fewer output channels are not, for the same reason.
    const CHANNELS: i64 = 256;

    /// Registers the weights [O, I, kernel, kernel], without bias.
    pub(super) fn new(
        path: nn::Path<'_>,
        widths: [i64; 2],
        [kernel, stride, padding]: [i64; 3],
        init: Initialisation,
    ) -> Self {
        let weight = init.conv(path, widths, [kernel, stride, padding]).ws;
        Self { weight, stride, padding }
    }

    /// The same convolution with other weights.
    pub(super) fn with_weight(&self, weight: Tensor) -> Self {
        Self { weight, ..*self }
    }

    /// The number O·H′·W′ of outputs for a sample of `input`.
    pub(super) fn outputs(&self, input: &Tensor) -> i64 {
        let [_, _, height, width] = input.size()[..] else { return 0 };
        self.weight.size()[0] * self.positions(height) * self.positions(width)
    }

    /// H′ for H, or W′ for W.
    fn positions(&self, side: i64) -> i64 {
        (side + 2 * self.padding - self.weight.size()[2]).div_euclid(self.stride) + 1
    }

    pub(super) fn forward(&self, input: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let axes = [2, 3].map(|dim| Axis::new(self, input.size()[dim]));
        let channels_last = [input, &self.weight].iter().all(|tensor| tensor.stride()[1] == 1);
        let positions = axes[0].outputs.len() * axes[1].outputs.len();
        let small =
            (1..=Self::POSITIONS).contains(&positions) && self.weight.size()[0] >= Self::CHANNELS;
        if input.device() == Device::Cpu && channels_last && small {
            self.product(input, bias, &axes)
        } else {
            input.conv2d(&self.weight, bias, [self.stride; 2], [self.padding; 2], [1, 1], 1)
        }
    }

    /// The convolution as a matrix product.
    fn product(&self, input: &Tensor, bias: Option<&Tensor>, axes: &[Axis; 2]) -> Tensor {
        let [rows, columns] = axes;
        let (batch, channels) = (input.size()[0], input.size()[1]);
        let padding = rows.inputs * columns.inputs;
        let taps = pairs(&rows.taps, &columns.taps);
        let positions = pairs(&rows.outputs, &columns.outputs);
        let seen = positions.iter().flat_map(|&(row, column)| {
            taps.iter().map(move |&(i, j)| match (rows.input(row, i), columns.input(column, j)) {
                (Some(row), Some(column)) => row * columns.inputs + column,
                _ => padding,
            })
        });
        let seen = Tensor::from_slice(&seen.collect::<Vec<_>>());
        // The inputs of an image as rows, with a row of zeros for the padding.
        let inputs = input.permute([0, 2, 3, 1]).reshape([batch, padding, channels]);
        let seen = inputs.constant_pad_nd([0, 0, 0, 1]).index_select(1, &seen);

        let (outputs, kernel) = (self.weight.size()[0], self.weight.size()[2]);
        let mut weight = self.weight.permute([0, 2, 3, 1]);
        if taps.len() as i64 != kernel * kernel {
            let taps: Vec<_> = taps.iter().map(|(i, j)| i * kernel + j).collect();
            let all = weight.reshape([outputs, kernel * kernel, channels]);
            weight = all.index_select(1, &Tensor::from_slice(&taps));
        }
        let k = taps.len() as i64 * channels;
        let seen = seen.reshape([batch * positions.len() as i64, k]);
        let output = seen.linear(&weight.reshape([outputs, k]), bias);
        let [height, width] = [rows, columns].map(|axis| axis.outputs.len() as i64);
        output.view([batch, height, width, outputs]).permute([0, 3, 1, 2])
    }
}

/// A spatial dimension of a convolution.
struct Axis {
    stride: i64,
    padding: i64,
    inputs: i64,
    outputs: Vec<i64>,
    /// The taps of the kernel that see inputs.
    taps: Vec<i64>,
}

impl Axis {
    fn new(convolution: &Convolution, inputs: i64) -> Self {
        let Convolution { ref weight, stride, padding } = *convolution;
        let kernel = weight.size()[2];
        let outputs = (0..convolution.positions(inputs)).collect();
        let mut axis = Self { stride, padding, inputs, outputs, taps: Vec::new() };
        let sees = |tap: &i64| axis.outputs.iter().any(|&o| axis.input(o, *tap).is_some());
        axis.taps = (0..kernel).filter(sees).collect();
        axis
    }

    /// The input that a tap sees for an output, unless this is padding.
    fn input(&self, output: i64, tap: i64) -> Option<i64> {
        let input = output * self.stride + tap - self.padding;
        (0..self.inputs).contains(&input).then_some(input)
    }
}

/// The pairs of rows and columns, in row-major order.
fn pairs(rows: &[i64], columns: &[i64]) -> Vec<(i64, i64)> {
    rows.iter().flat_map(|&row| columns.iter().map(move |&column| (row, column))).collect()
}
