//! Sequences of feature vectors, of different lengths.

use serde::{Deserialize, Serialize};
use tch::{
    Tensor,
    nn::{self, ModuleT, RNN},
};

use crate::error::{self, Result};

/// A linear layer and ReLU a step, a GRU over the steps, and the mean of its states over the steps
/// that are there: [B, T, `input` + 1] → [B, `hidden`].
///
/// The input's last channel says which steps are there, as
/// [`Sequences::pack`](crate::paper::data::Sequences::pack) writes it: 1 for a step, 0 for padding,
/// which stands at the end. Padding changes nothing; a sample without any step has features 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceConfig {
    /// Features of a step, without the mask's channel.
    pub input: i64,
    /// Width of the GRU's state and of the features.
    pub hidden: i64,
}

impl SequenceConfig {
    pub(super) fn check(&self) -> Result<()> {
        if self.input >= 1 && self.hidden >= 1 {
            return Ok(());
        }
        Err(error::config(
            "SequenceConfig",
            "widths of at least 1",
            format!("{self:?}"),
            "pass the features' width without the mask's channel",
        ))
    }

    /// Registers `path.step` and `path.gru`; the tensor is one of the weights.
    pub(super) fn build(&self, path: &nn::Path<'_>) -> (Box<dyn ModuleT>, Option<Tensor>) {
        let step = nn::linear(path / "step", self.input, self.hidden, Default::default());
        let gru = nn::gru(&(path / "gru"), self.hidden, self.hidden, Default::default());
        let weight = step.ws.shallow_clone();
        (Box::new(Recurrent { step, gru }), Some(weight))
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
