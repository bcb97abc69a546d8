//! One measured number.

use serde::{Deserialize, Serialize};

use crate::modality::Modality;
use crate::number;

/// One number that a probe measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Name of the metric, in snake_case.
    pub metric: String,
    /// The modality that the metric describes; `None` for one of the whole model.
    pub modality: Option<Modality>,
    /// The value.
    #[serde(with = "number")]
    pub value: f64,
}

impl Measurement {
    /// A metric of one modality.
    pub fn new(metric: impl Into<String>, modality: &Modality, value: f64) -> Self {
        Self { metric: metric.into(), modality: Some(modality.clone()), value }
    }
}
