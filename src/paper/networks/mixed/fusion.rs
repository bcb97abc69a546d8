//! From features of different widths to predictions.

use serde::{Deserialize, Serialize};
use tch::{
    Tensor,
    nn::{self, Module},
};

use crate::modality::Modality;

/// How features f^m [B, d_m] become predictions [B, C].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixedFusion {
    /// The mean over m of fc_m(f^m); modality m alone predicts fc_m(f^m).
    #[default]
    Late,
    /// fc_out([f^1, …, f^k]). Modality m's share is W_m f^m + b/k, with W_m the columns of its
    /// features: the shares' sum is the prediction, so k times the share is on its scale and is what
    /// modality m alone predicts.
    Concat,
}

/// A fusion at work.
#[derive(Debug)]
pub(super) enum FusionModule {
    Late(Vec<nn::Linear>),
    Concat { head: nn::Linear, widths: Vec<i64> },
}

impl FusionModule {
    /// Registers `path.fc_{modality}` for each, or `path.fc_out`.
    pub(super) fn new(
        path: &nn::Path<'_>,
        kind: MixedFusion,
        widths: &[(Modality, i64)],
        outputs: i64,
    ) -> Self {
        let linear =
            |name: String, width| nn::linear(path / name, width, outputs, Default::default());
        match kind {
            MixedFusion::Late => {
                Self::Late(widths.iter().map(|(m, d)| linear(format!("fc_{m}"), *d)).collect())
            }
            MixedFusion::Concat => {
                let widths: Vec<i64> = widths.iter().map(|(_, d)| *d).collect();
                Self::Concat { head: linear("fc_out".to_owned(), widths.iter().sum()), widths }
            }
        }
    }

    pub(super) fn forward(&self, features: &[Tensor]) -> Tensor {
        match self {
            Self::Late(heads) => {
                let sum: Tensor = heads.iter().zip(features).map(|(fc, x)| fc.forward(x)).sum();
                sum / heads.len() as f64
            }
            Self::Concat { head, .. } => head.forward(&Tensor::cat(features, 1)),
        }
    }

    pub(super) fn unimodal(&self, m: usize, features: &[Tensor]) -> Tensor {
        match self {
            Self::Late(heads) => heads[m].forward(&features[m]),
            Self::Concat { head, widths } => {
                let own = head.ws.narrow(1, widths[..m].iter().sum(), widths[m]);
                let share = features[m].linear(&own, None::<&Tensor>) * widths.len() as f64;
                match &head.bs {
                    Some(bias) => share + bias,
                    None => share,
                }
            }
        }
    }
}
