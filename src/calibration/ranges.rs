//! The ranges of numbers in a calibration that is read from a file.

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected},
};

/// Reads a temperature: a finite number above 0.
pub(super) fn temperature<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    check(f64::deserialize(from)?, "a finite temperature above 0", |t| t > 0.0)
}

/// As [`temperature`], for each of several.
pub(super) fn temperatures<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let all = Vec::<f64>::deserialize(from)?;
    all.into_iter().map(|t| check(t, "finite temperatures above 0", |t| t > 0.0)).collect()
}

/// Reads a number in [0, 1].
pub(super) fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    check(f64::deserialize(from)?, "a number in [0, 1]", |x| (0.0..=1.0).contains(&x))
}

/// Reads an NLL: a finite number that is not negative.
pub(super) fn nll<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    check(f64::deserialize(from)?, "a finite NLL of at least 0", |x| x >= 0.0)
}

fn check<E: Error>(number: f64, expected: &str, legal: impl Fn(f64) -> bool) -> Result<f64, E> {
    if number.is_finite() && legal(number) {
        return Ok(number);
    }
    Err(E::invalid_value(Unexpected::Float(number), &expected))
}
