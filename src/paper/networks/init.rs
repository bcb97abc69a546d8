//! Initialisation of weights.

use serde::{Deserialize, Serialize};
use tch::nn::{self, Init};

/// The distribution from which a network's weights are drawn when the network is built.
///
/// The draws come from torch's global generator, which [`tch::manual_seed`] seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Initialisation {
    /// The defaults of tch's layers.
    #[default]
    Tch,
    /// The authors' initialisation: linear layers Xavier-normal with zero bias, convolutions
    /// Kaiming-normal with mode fan-out, batch norm with weight 1 and bias 0.
    Authors,
}

impl Initialisation {
    /// A linear layer with bias.
    pub(super) fn linear(self, path: nn::Path<'_>, input: i64, output: i64) -> nn::Linear {
        let config = match self {
            Self::Tch => nn::LinearConfig::default(),
            Self::Authors => nn::LinearConfig {
                ws_init: normal(2.0 / (input + output) as f64),
                bs_init: Some(Init::Const(0.0)),
                bias: true,
            },
        };
        nn::linear(path, input, output, config)
    }

    /// A square convolution without bias.
    pub(super) fn conv(
        self,
        path: nn::Path<'_>,
        [input, output]: [i64; 2],
        [kernel, stride, padding]: [i64; 3],
    ) -> nn::Conv2D {
        let mut config = nn::ConvConfig { stride, padding, bias: false, ..Default::default() };
        if self == Self::Authors {
            config.ws_init = normal(2.0 / (output * kernel * kernel) as f64);
        }
        nn::conv2d(path, input, output, kernel, config)
    }

    /// Batch norm of `width` channels.
    pub(super) fn norm(self, path: nn::Path<'_>, width: i64) -> nn::BatchNorm {
        let mut config = nn::BatchNormConfig::default();
        if self == Self::Authors {
            config.ws_init = Init::Const(1.0);
        }
        nn::batch_norm2d(path, width, config)
    }
}

fn normal(variance: f64) -> Init {
    Init::Randn { mean: 0.0, stdev: variance.sqrt() }
}
