//! Encoders of the columns of a table.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::ModuleT};

use crate::error::{self, Result};
use crate::paper::networks::encoder::{EncoderParts, InputShape};

/// One layer: linear, batch norm, ReLU, dropout.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpLayer {
    /// Number of outputs.
    pub width: i64,
    /// Dropout probability.
    #[serde(default)]
    pub dropout: f64,
}

/// A multilayer perceptron: [B, `input`] → [B, width of the last layer].
///
/// A batch of one sample is encoded as in evaluation, since batch norm needs at least two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Number of columns.
    pub input: i64,
    /// The layers, first to last.
    pub layers: Vec<MlpLayer>,
}

impl MlpConfig {
    /// MIS-ME's perceptron of `input` weather columns (8 in MIS-ME): layers of 256, 128, 64, 32 and 16
    /// outputs, with dropout 0.3, 0.2 and 0.1 after the first three.
    pub fn weather(input: i64) -> Self {
        let layers = [(256, 0.3), (128, 0.2), (64, 0.1), (32, 0.0), (16, 0.0)];
        let layer = |(width, dropout)| MlpLayer { width, dropout };
        Self { input, layers: layers.into_iter().map(layer).collect() }
    }

    /// Layers of these widths without dropout.
    pub fn plain(input: i64, widths: &[i64]) -> Self {
        let layer = |&width: &i64| MlpLayer { width, dropout: 0.0 };
        Self { input, layers: widths.iter().map(layer).collect() }
    }

    /// Registers `path.linear_{i}` and `path.norm_{i}`.
    pub(super) fn build(&self, path: &nn::Path<'_>) -> Result<EncoderParts> {
        let valid = |layer: &MlpLayer| layer.width >= 1 && (0.0..1.0).contains(&layer.dropout);
        if self.input < 1 || self.layers.is_empty() || !self.layers.iter().all(valid) {
            let expected = "at least 1 column and 1 layer, widths of at least 1, dropout in [0, 1)";
            return Err(error::out_of_range("MlpConfig", expected, format_args!("{self:?}")));
        }
        let mut layers = Vec::new();
        let mut width = self.input;
        for (i, layer) in self.layers.iter().enumerate() {
            let linear =
                nn::linear(path / format!("linear_{i}"), width, layer.width, Default::default());
            // PyTorch initialises the weight with 1, tch at random.
            let ones = nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() };
            let norm = nn::batch_norm1d(path / format!("norm_{i}"), layer.width, ones);
            layers.push((linear, norm, layer.dropout));
            width = layer.width;
        }
        let input = InputShape::Vector(self.input);
        Ok(EncoderParts { input, width, layers: Box::new(Mlp { layers }) })
    }
}

#[derive(Debug)]
struct Mlp {
    layers: Vec<(nn::Linear, nn::BatchNorm, f64)>,
}

impl ModuleT for Mlp {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let train = train && input.size()[0] > 1;
        self.layers.iter().fold(input.shallow_clone(), |x, (linear, norm, dropout)| {
            x.apply(linear).apply_t(norm, train).relu().dropout(*dropout, train)
        })
    }
}
