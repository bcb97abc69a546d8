//! A square convolution.

use std::ops::Range;

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
    const POSITIONS: i64 = 16;
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

    pub(super) fn forward(&self, input: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let axes = [2, 3].map(|dim| Axis::new(self, input.size()[dim]));
        let channels_last = [input, &self.weight].iter().all(|tensor| tensor.stride()[1] == 1);
        let small = axes[0].outputs * axes[1].outputs <= Self::POSITIONS
            && self.weight.size()[0] >= Self::CHANNELS
            && axes.iter().all(|axis| !axis.taps.is_empty());
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
        let mut seen = Vec::new();
        for (row, column) in pairs(0..rows.outputs, 0..columns.outputs) {
            for (i, j) in pairs(rows.taps.clone(), columns.taps.clone()) {
                let input = rows.input(row, i).zip(columns.input(column, j));
                seen.push(input.map_or(padding, |(row, column)| row * columns.inputs + column));
            }
        }
        let positions = rows.outputs * columns.outputs;
        let k = channels * seen.len() as i64 / positions;
        let seen = Tensor::from_slice(&seen);
        // The inputs of an image as rows, with a row of zeros for the padding.
        let inputs = input.permute([0, 2, 3, 1]).reshape([batch, padding, channels]);
        let seen = inputs.constant_pad_nd([0, 0, 0, 1]).index_select(1, &seen);

        let outputs = self.weight.size()[0];
        let mut weight = self.weight.permute([0, 2, 3, 1]);
        for (dim, Axis { taps, .. }) in (1..).zip(axes) {
            weight = weight.slice(dim, taps.start, taps.end, 1);
        }
        let output =
            seen.reshape([batch * positions, k]).linear(&weight.reshape([outputs, k]), bias);
        output.view([batch, rows.outputs, columns.outputs, outputs]).permute([0, 3, 1, 2])
    }
}

/// A spatial dimension of a convolution.
struct Axis {
    stride: i64,
    padding: i64,
    inputs: i64,
    outputs: i64,
    /// The taps of the kernel that see inputs.
    taps: Range<i64>,
}

impl Axis {
    fn new(convolution: &Convolution, inputs: i64) -> Self {
        let Convolution { ref weight, stride, padding } = *convolution;
        let kernel = weight.size()[2];
        let outputs = (inputs + 2 * padding - kernel).div_euclid(stride) + 1;
        let all = Self { stride, padding, inputs, outputs, taps: 0..kernel };
        let sees = |tap: &i64| (0..outputs).any(|output| all.input(output, *tap).is_some());
        let first = (0..kernel).find(sees).unwrap_or(kernel);
        let end = (first..kernel).rfind(sees).map_or(first, |last| last + 1);
        Self { taps: first..end, ..all }
    }

    /// The input that a tap sees for an output, unless this is padding.
    fn input(&self, output: i64, tap: i64) -> Option<i64> {
        let input = output * self.stride + tap - self.padding;
        (0..self.inputs).contains(&input).then_some(input)
    }
}

/// The pairs of two ranges, in row-major order.
fn pairs(rows: Range<i64>, columns: Range<i64>) -> impl Iterator<Item = (i64, i64)> {
    rows.flat_map(move |row| columns.clone().map(move |column| (row, column)))
}
