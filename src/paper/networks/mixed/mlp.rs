//! The columns of a table.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::ModuleT};

use crate::error::{self, Result};

/// One layer: linear, batch norm, ReLU, dropout.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpLayer {
    /// Outputs.
    pub width: i64,
    /// Share of outputs that training sets to 0.
    #[serde(default)]
    pub dropout: f64,
}

/// A multilayer perceptron: [B, `input`] → the last layer's [B, width].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MlpConfig {
    /// Columns.
    pub input: i64,
    /// The layers, first to last.
    pub layers: Vec<MlpLayer>,
}

impl MlpConfig {
    /// MIS-ME's, for `input` columns (8 of weather there): `input` → 256 → 128 → 64 → 32 → 16, with
    /// dropout 0.3, 0.2 and 0.1 after the first three.
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

    /// Its feature width; 0 without a layer, which no network is made of.
    pub fn width(&self) -> i64 {
        self.layers.last().map_or(0, |layer| layer.width)
    }

    pub(super) fn check(&self) -> Result<()> {
        let sound = |layer: &MlpLayer| layer.width >= 1 && (0.0..1.0).contains(&layer.dropout);
        if self.input >= 1 && !self.layers.is_empty() && self.layers.iter().all(sound) {
            return Ok(());
        }
        Err(error::config(
            "MlpConfig",
            "at least 1 column and 1 layer, widths of at least 1, dropout in [0, 1)",
            format!("{self:?}"),
            "`MlpConfig::weather` is the paper's",
        ))
    }

    /// Registers `path.linear_{i}` and `path.norm_{i}`; the tensor is one of the weights.
    pub(super) fn build(&self, path: &nn::Path<'_>) -> (Box<dyn ModuleT>, Option<Tensor>) {
        let mut layers = Vec::new();
        let mut input = self.input;
        for (i, &MlpLayer { width, dropout }) in self.layers.iter().enumerate() {
            let linear = nn::linear(path / format!("linear_{i}"), input, width, Default::default());
            // tch draws the scale at random, PyTorch starts it at 1.
            let start = nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() };
            let norm = nn::batch_norm1d(path / format!("norm_{i}"), width, start);
            layers.push((linear, norm, dropout));
            input = width;
        }
        let weight = layers.first().map(|(linear, ..)| linear.ws.shallow_clone());
        (Box::new(Mlp { layers }), weight)
    }
}

#[derive(Debug)]
struct Mlp {
    layers: Vec<(nn::Linear, nn::BatchNorm, f64)>,
}

impl ModuleT for Mlp {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let start = input.shallow_clone();
        self.layers.iter().fold(start, |x, (linear, norm, dropout)| {
            x.apply(linear).apply_t(norm, train).relu().dropout(*dropout, train)
        })
    }
}
