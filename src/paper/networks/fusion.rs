//! Fusion: from the features of all modalities to logits.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::Module};

use super::Initialisation;
use crate::calibration::{FusionWeights, late_fusion};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::student::Features;

/// The fusion of a [`FusionClassifier`](super::FusionClassifier): logits from the features f^m of k
/// modalities, or x and y of two.
///
/// Each variant also states the authors' formula for the logits of one modality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionKind {
    /// Σ_m fc_m(f^m), for two modalities or more. One modality: W_m f^m + b_m/k; the sum over the
    /// modalities lacks (k−1)/k of every bias.
    Sum,
    /// fc_out([f^1, …, f^k]), for two modalities or more. One modality: W_m f^m + b/k, where W_m are
    /// the columns of its features; the sum over the modalities is the fused logits.
    Concat,
    /// The mean over m of fc_m(f^m), for two modalities or more: the best fusion in the paper. One
    /// modality: fc_m(f^m).
    #[default]
    Late,
    /// Feature-wise linear modulation, for exactly two modalities: fc_out(γ·y + β), where γ and β are
    /// the halves of fc(x). One modality, of features z: W (γ(z)·z + β(z)) + b/2, which the fused
    /// model never computes.
    Film,
    /// Gated fusion, for exactly two modalities: fc_out(sigmoid(fc_x(x)) · fc_y(y)). One modality:
    /// W fc_x(x) + b/2 or W fc_y(y) + b/2, which the fused model never computes.
    Gated,
}

impl FusionKind {
    /// Registers the fusion of `k` modalities with features [B, `width`] under `path`.
    pub(super) fn build(
        self,
        path: &nn::Path<'_>,
        k: usize,
        width: i64,
        classes: i64,
        init: Initialisation,
    ) -> Result<Fusion> {
        let pairs_only = matches!(self, Self::Film | Self::Gated);
        if k < 2 || (pairs_only && k > 2) {
            let expected = if pairs_only { "exactly 2" } else { "at least 2" };
            let hint = "choose Sum, Concat or Late for more than two modalities";
            let what = format!("number of modalities of {self:?} fusion");
            return Err(error::config(what, expected, k, hint));
        }
        check_outputs(classes)?;
        let linear = |name: &str, input, output| init.linear(path / name, input, output);
        // The authors' names for two modalities.
        let name = |m: usize| match (k, m) {
            (2, 0) => "fc_x".to_owned(),
            (2, 1) => "fc_y".to_owned(),
            _ => format!("fc_{m}"),
        };
        let heads = || (0..k).map(|m| linear(&name(m), width, classes)).collect();
        Ok(match self {
            Self::Sum => Fusion::Sum(heads()),
            Self::Late => Fusion::Late(heads()),
            Self::Concat => Fusion::Concat {
                head: linear("fc_out", width * k as i64, classes),
                widths: vec![width; k],
            },
            Self::Film => Fusion::Film {
                film: linear("fc", width, 2 * width),
                head: linear("fc_out", width, classes),
            },
            Self::Gated => Fusion::Gated {
                projections: ["fc_x", "fc_y"].map(|name| linear(name, width, width)),
                head: linear("fc_out", width, classes),
            },
        })
    }
}

/// The fusion of a [`MixedNetwork`](super::MixedNetwork): predictions [B, C] from features f^m
/// [B, d_m].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixedFusion {
    /// The mean over m of fc_m(f^m). The unimodal prediction is fc_m(f^m).
    #[default]
    Late,
    /// fc_out([f^1, …, f^k]). The unimodal prediction is k W_m f^m + b, where W_m are the columns of
    /// the modality's features: k times its share of the fused prediction, on the same scale.
    Concat,
    /// fc_out(relu(fc_hidden([f^1, …, f^k]))), with as many hidden units as the widest features. No
    /// unimodal prediction.
    Mlp,
    /// FiLM as in [`FusionKind::Film`], for exactly two modalities of one width.
    Film,
    /// Gated fusion as in [`FusionKind::Gated`], for exactly two modalities of one width.
    Gated,
    /// Self-attention over one token per modality, for modalities of one width d: with tokens
    /// t_m = f^m + e_m, where e_m is learned, fc_out of the mean over m of
    /// t_m + Σ_j softmax_j(q_m · k_j / √d) v_j, where q, k and v are linear in the tokens. No unimodal
    /// prediction.
    Attention,
}

impl MixedFusion {
    /// Registers `path.fc_{modality}` for each modality, or the layers of the other fusions.
    pub(super) fn build<'m>(
        self,
        path: &nn::Path<'_>,
        widths: impl Iterator<Item = (&'m Modality, i64)>,
        outputs: i64,
    ) -> Result<Fusion> {
        let (names, widths): (Vec<_>, Vec<_>) = widths.unzip();
        let (k, width) = (widths.len(), widths.first().copied().unwrap_or(0));
        let linear =
            |name: &str, input, output| Initialisation::Tch.linear(path / name, input, output);
        let one_width = || {
            if widths.iter().all(|d| *d == width) {
                return Ok(());
            }
            let hint = "give the encoders one width, or choose Late or Concat";
            let what = format!("feature widths of {self:?} fusion");
            Err(error::config(what, "one width", format!("{widths:?}"), hint))
        };
        let heads =
            || names.iter().zip(&widths).map(|(m, d)| linear(&format!("fc_{m}"), *d, outputs));
        Ok(match self {
            Self::Late => Fusion::Late(heads().collect()),
            Self::Concat => {
                Fusion::Concat { head: linear("fc_out", widths.iter().sum(), outputs), widths }
            }
            Self::Mlp => {
                let widest = widths.iter().copied().max().unwrap_or(0);
                Fusion::Mlp {
                    hidden: linear("fc_hidden", widths.iter().sum(), widest),
                    head: linear("fc_out", widest, outputs),
                }
            }
            Self::Film | Self::Gated => {
                one_width()?;
                let kind = if self == Self::Film { FusionKind::Film } else { FusionKind::Gated };
                kind.build(path, k, width, outputs, Initialisation::Tch)?
            }
            Self::Attention => {
                one_width()?;
                Fusion::Attention(Attention::new(path, k as i64, width, outputs))
            }
        })
    }
}

/// Checks the number of classes or predicted values of a network.
pub(super) fn check_outputs(outputs: i64) -> Result<()> {
    match outputs {
        1.. => Ok(()),
        _ => Err(error::out_of_range("outputs of the network", "at least 1", outputs)),
    }
}

/// The layers of a fusion. Every method expects one tensor [B, d_m] per modality.
#[derive(Debug)]
pub(super) enum Fusion {
    Sum(Vec<nn::Linear>),
    Late(Vec<nn::Linear>),
    Concat {
        head: nn::Linear,
        widths: Vec<i64>,
    },
    Film {
        film: nn::Linear,
        head: nn::Linear,
    },
    Gated {
        projections: [nn::Linear; 2],
        head: nn::Linear,
    },
    Attention(Attention),
    Mlp {
        hidden: nn::Linear,
        head: nn::Linear,
    },
    /// A late fusion with the weights \[k\], a buffer.
    Weighted {
        heads: Vec<nn::Linear>,
        weights: Tensor,
    },
}

impl Fusion {
    /// The late fusion with `weights`, registered as a buffer below `path`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for another fusion or number of modalities.
    pub(super) fn weighted(self, path: &nn::Path<'_>, weights: &FusionWeights) -> Result<Self> {
        let (what, hint) = ("fusion weights", "pass one weight per modality to a late fusion");
        match self {
            Self::Late(heads) if heads.len() == weights.as_slice().len() => {
                Ok(Self::Weighted { heads, weights: weights.register(path) })
            }
            Self::Late(heads) => {
                let found = weights.as_slice().len();
                Err(error::config(what, format!("{}", heads.len()), found, hint))
            }
            _ => Err(error::config(what, "a late fusion", "another fusion", hint)),
        }
    }

    /// Fused logits [B, C]. A weighted fusion divides a sample's weights by their sum over the modalities
    /// that it has.
    pub(super) fn forward(&self, features: &Features<'_>) -> Result<Tensor> {
        let each = |heads: &[nn::Linear]| -> Vec<Tensor> {
            heads.iter().zip(features.iter()).map(|(head, own)| head.forward(own)).collect()
        };
        let sum = |heads: &[nn::Linear]| -> Tensor { each(heads).iter().sum() };
        Ok(match self {
            Self::Sum(heads) => sum(heads),
            Self::Late(heads) => sum(heads) / heads.len() as f64,
            Self::Concat { head, .. } => head.forward(&Tensor::cat(features, 1)),
            Self::Film { film, head } => head.forward(&modulate(film, &features[0], &features[1])),
            Self::Gated { projections: [fc_x, fc_y], head } => {
                let gate = fc_x.forward(&features[0]).sigmoid();
                head.forward(&(gate * fc_y.forward(&features[1])))
            }
            Self::Attention(attention) => attention.forward(features),
            Self::Mlp { hidden, head } => {
                head.forward(&hidden.forward(&Tensor::cat(features, 1)).relu())
            }
            Self::Weighted { heads, weights } => {
                late_fusion(weights, &each(heads), features.rows())?
            }
        })
    }

    /// Logits [B, C] of modality `m` by the authors' formula; `None` for a fusion that they do not have.
    pub(super) fn authors_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        let own = &features[m];
        Some(match self {
            Self::Sum(heads) => share(&heads[m].ws, &heads[m], heads.len(), own),
            Self::Late(heads) | Self::Weighted { heads, .. } => heads[m].forward(own),
            Self::Concat { head, widths } => {
                share(&columns(head, widths, m), head, widths.len(), own)
            }
            Self::Film { film, head } => share(&head.ws, head, 2, &modulate(film, own, own)),
            Self::Gated { projections, head } => {
                share(&head.ws, head, 2, &projections[m].forward(own))
            }
            Self::Attention(_) | Self::Mlp { .. } => return None,
        })
    }

    /// The contribution [B, C] of modality `m` to the fused logits; `None` if the fusion mixes the
    /// modalities before its last layer.
    pub(super) fn contribution(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        match self {
            Self::Film { .. } | Self::Gated { .. } => None,
            _ => self.authors_logits(m, features),
        }
    }

    /// The prediction [B, C] from modality `m` alone, on the scale of the fused prediction; `None` if the
    /// fusion mixes the modalities before its last layer.
    pub(super) fn unimodal_prediction(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        let Self::Concat { head, widths } = self else { return self.contribution(m, features) };
        let part = features[m].linear(&columns(head, widths, m), None::<&Tensor>);
        let scaled = part * widths.len() as f64;
        Some(match &head.bs {
            Some(bias) => scaled + bias,
            None => scaled,
        })
    }

    /// fc_x(x) and fc_y(y) of gated fusion, into which the authors distil; `None` for other fusions.
    pub(super) fn gated_projections(&self, features: &[Tensor]) -> Option<Vec<Tensor>> {
        let Self::Gated { projections, .. } = self else { return None };
        Some(projections.iter().zip(features).map(|(fc, f)| fc.forward(f)).collect())
    }
}

/// Self-attention over one token [B, d] per modality.
#[derive(Debug)]
pub(super) struct Attention {
    /// e_m, [k, d].
    embedding: Tensor,
    /// q, k and v of a token.
    projection: nn::Linear,
    head: nn::Linear,
}

impl Attention {
    fn new(path: &nn::Path<'_>, k: i64, width: i64, outputs: i64) -> Self {
        let linear =
            |name: &str, input, output| Initialisation::Tch.linear(path / name, input, output);
        Self {
            embedding: path.randn("embedding", &[k, width], 0.0, 0.02),
            projection: linear("qkv", width, 3 * width),
            head: linear("fc_out", width, outputs),
        }
    }

    fn forward(&self, features: &[Tensor]) -> Tensor {
        let tokens = Tensor::stack(features, 1) + &self.embedding; // [B, k, d]
        let width = self.embedding.size()[1] as f64;
        let parts = self.projection.forward(&tokens).chunk(3, -1);
        let scores = parts[0].matmul(&parts[1].transpose(1, 2)) / width.sqrt();
        let mixed = tokens + scores.softmax(-1, None).matmul(&parts[2]);
        self.head.forward(&mixed.mean_dim(1, false, None))
    }
}

/// γ·on + β, where γ and β are the halves of film(by).
fn modulate(film: &nn::Linear, by: &Tensor, on: &Tensor) -> Tensor {
    let halves = film.forward(by).chunk(2, 1);
    &halves[0] * on + &halves[1]
}

/// The columns of the weight of `head` that multiply the features of modality `m`.
fn columns(head: &nn::Linear, widths: &[i64], m: usize) -> Tensor {
    head.ws.narrow(1, widths[..m].iter().sum(), widths[m])
}

/// W x + b/k, where b is the bias of `head`.
fn share(weight: &Tensor, head: &nn::Linear, k: usize, x: &Tensor) -> Tensor {
    let bias = head.bs.as_ref().map(|bias| bias / k as f64);
    x.linear(weight, bias.as_ref())
}
