//! Checks of hyper-parameters.

use crate::error::{self, Result};

/// Refuses a number that is not finite or is negative.
pub(super) fn not_negative(what: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(error::out_of_range(what, "a finite number ≥ 0", value))
}

/// Refuses a number that is not above 0.
pub(super) fn positive(what: &str, value: f64) -> Result<()> {
    if value > 0.0 {
        return Ok(());
    }
    Err(error::out_of_range(what, "above 0", value))
}
