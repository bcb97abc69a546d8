//! Encoders of sequences of different lengths.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::ModuleT, nn::RNN};

use crate::error::{self, Result};
use crate::paper::networks::encoder::{EncoderParts, InputShape};

/// A linear layer with ReLU applied to each step, a GRU, and the mean of its states over the valid
/// steps: [B, T, `input` + 1] → [B, `hidden`].
///
/// The last channel of the input is the mask, as written by
/// [`Sequences::pack`](crate::paper::data::Sequences::pack). Padding does not influence the features;
/// the features of an empty sequence are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// Number of values of a step, without the mask.
    pub input: i64,
    /// Width of the GRU's state: the number of features.
    pub hidden: i64,
}

impl SequenceConfig {
    /// Registers `path.step` and `path.gru`.
    pub(super) fn build(&self, path: &nn::Path<'_>) -> Result<EncoderParts> {
        if self.input < 1 || self.hidden < 1 {
            let found = format!("{self:?}");
            return Err(error::out_of_range("SequenceConfig", "widths of at least 1", found));
        }
        let step = nn::linear(path / "step", self.input, self.hidden, Default::default());
        let gru = nn::gru(&(path / "gru"), self.hidden, self.hidden, Default::default());
        Ok(EncoderParts {
            input: InputShape::Sequence(self.input),
            width: self.hidden,
            layers: Box::new(Recurrent { step, gru }),
        })
    }
}

#[derive(Debug)]
struct Recurrent {
    step: nn::Linear,
    gru: nn::GRU,
}

impl ModuleT for Recurrent {
    fn forward_t(&self, input: &Tensor, _train: bool) -> Tensor {
        let width = self.step.ws.size()[1];
        let (values, mask) = (input.narrow(2, 0, width), input.narrow(2, width, 1));
        let (states, _) = self.gru.seq(&values.apply(&self.step).relu());
        let steps = mask.sum_dim_intlist([1_i64].as_slice(), false, None).clamp_min(1.0);
        (states * mask).sum_dim_intlist([1_i64].as_slice(), false, None) / steps
    }
}
