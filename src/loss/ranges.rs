//! The ranges of weights and temperatures.

use crate::error::Result;
use crate::modality::{Modality, PerModality};

/// Refuses a weight that is negative or not finite.
pub(super) fn check_weight(
    name: &str,
    weight: &PerModality<f64>,
    modalities: &[Modality],
) -> Result<()> {
    weight.check(name, modalities, "a finite weight ≥ 0", |w| w.is_finite() && w >= 0.0)
}

/// Refuses a temperature that is not above 0 or not finite.
pub(super) fn check_temperature(
    name: &str,
    temperature: &PerModality<f64>,
    modalities: &[Modality],
) -> Result<()> {
    temperature.check(name, modalities, "a finite value > 0", |t| t.is_finite() && t > 0.0)
}
