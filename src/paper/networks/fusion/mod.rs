//! From the modalities' features to logits.
//!
//! - [`SumFusion`], [`LateFusion`]: a head a modality, added up or averaged.
//! - [`ConcatFusion`]: one head over all features.
//! - [`FilmFusion`]: the first modality scales and shifts the second.
//! - [`GatedFusion`]: the first modality opens and closes the second.

mod concat;
mod film;
mod gated;
mod heads;

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

pub use concat::ConcatFusion;
pub use film::FilmFusion;
pub use gated::GatedFusion;
pub use heads::{LateFusion, SumFusion};

use super::Initialisation;
use crate::error::{self, Result};

/// Logits from features, and what each modality contributes to them.
///
/// # Contract
/// - `features` holds a tensor [B, d] for each modality that the fusion was made for; other shapes
///   make libtorch panic. [`FusionClassifier`](super::FusionClassifier) has checked them.
/// - `m` is below the number of modalities.
/// - No method switches gradients on or off, and none has state.
pub trait Fusion: fmt::Debug + Send {
    /// Fused logits [B, C].
    fn forward(&self, features: &[Tensor]) -> Tensor;

    /// What modality `m` contributes to `forward`, [B, C]; `None` where the modalities are mixed
    /// before the last layer, so that no such part exists.
    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor>;

    /// The authors' formula for modality `m`'s logits, [B, C].
    ///
    /// For FiLM and gated fusion it feeds one modality through layers that `forward` feeds with
    /// both: a score for balancing, *not* the model's own computation.
    fn authors_unimodal_logits(&self, m: usize, features: &[Tensor]) -> Tensor;

    /// fc_x(x), fc_y(y) of gated fusion, which the authors distil into; `None` of any other.
    fn gated_projection(&self, features: &[Tensor]) -> Option<Vec<Tensor>> {
        let _ = features;
        None
    }
}

const _: Option<&dyn Fusion> = None; // stays object-safe

/// The five fusions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FusionKind {
    /// [`SumFusion`], for two modalities or more.
    Sum,
    /// [`ConcatFusion`], for two modalities or more.
    Concat,
    /// [`LateFusion`], for two modalities or more: the authors' best.
    #[default]
    Late,
    /// [`FilmFusion`], for exactly two.
    Film,
    /// [`GatedFusion`], for exactly two.
    Gated,
}

impl FusionKind {
    /// Registers the fusion of `k` modalities with features [B, `width`] under `path`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for fewer than two modalities, for more than two with
    /// FiLM or gated fusion, and for a width or a number of classes below 1.
    pub fn build(
        self,
        path: &nn::Path<'_>,
        k: usize,
        width: i64,
        classes: i64,
        init: Initialisation,
    ) -> Result<Box<dyn Fusion>> {
        let pairs_only = matches!(self, Self::Film | Self::Gated);
        if k < 2 || (pairs_only && k > 2) {
            return Err(error::config(
                format!("modalities of {self:?} fusion"),
                if pairs_only { "exactly 2" } else { "at least 2" },
                format!("{k}"),
                "Sum, Concat and Late take any number of modalities from 2",
            ));
        }
        if width < 1 || classes < 1 {
            return Err(error::config(
                format!("size of {self:?} fusion"),
                "a feature width and a number of classes of at least 1",
                format!("width {width}, {classes} classes"),
                "pass the encoders' width and the data set's number of classes",
            ));
        }
        Ok(match self {
            Self::Sum => Box::new(SumFusion::new(path, k, width, classes, init)),
            Self::Concat => Box::new(ConcatFusion::new(path, k, width, classes, init)),
            Self::Late => Box::new(LateFusion::new(path, k, width, classes, init)),
            Self::Film => Box::new(FilmFusion::new(path, width, classes, init)),
            Self::Gated => Box::new(GatedFusion::new(path, width, classes, init)),
        })
    }
}

/// W f + b/k: modality's share of a linear layer whose bias all k share.
fn with_share_of_bias(weight: &Tensor, bias: Option<&Tensor>, k: usize, x: &Tensor) -> Tensor {
    let bias = bias.map(|bias| bias / k as f64);
    x.linear(weight, bias.as_ref())
}
