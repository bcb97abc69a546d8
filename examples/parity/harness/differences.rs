//! Relative differences between expected and computed numbers.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result, ensure};
use comfy_table::{Table, presets::NOTHING};

use super::{case::GoldenCase, run::ComputedNumbers};

/// The largest relative difference that counts as equal.
pub const TOLERANCE: f64 = 1e-9;

/// The largest relative difference of each quantity, and its place.
#[derive(Default)]
pub struct Differences {
    worst: BTreeMap<String, (f64, String)>,
}

/// Compares every number of `case`.
///
/// The difference of a number is relative to the number, that of an entry of a row to the largest
/// entry of the row.
///
/// # Errors
/// A quantity of the case that [`run`](super::run::run) does not compute.
pub fn compare(case: &GoldenCase, computed: &ComputedNumbers) -> Result<Differences> {
    let mut found_differences = Differences::default();
    let mut note = |quantity: &str, place: String, difference: f64| {
        found_differences.note(quantity, place, difference);
    };
    for (t, (step, found)) in case.steps.iter().zip(&computed.steps).enumerate() {
        for (quantity, expected) in &step.expected {
            let expected = expected.as_slice();
            let found = found.get(quantity).with_context(|| format!("no number {quantity:?}"))?;
            ensure!(
                expected.len() <= found.len(),
                "{quantity}: expected {} numbers, found {}",
                expected.len(),
                found.len()
            );
            note(quantity, format!("step {t}"), difference(expected, found));
        }
    }
    for (name, expected) in &case.final_abs_sum {
        let found =
            computed.final_abs_sum.get(name).with_context(|| format!("no parameter {name:?}"))?;
        note("final_abs_sum", name.clone(), difference(&[*expected], &[*found]));
    }
    Ok(found_differences)
}

/// The largest difference of `found`, relative to the largest of the `expected` numbers.
pub fn difference(expected: &[f64], found: &[f64]) -> f64 {
    let scale = expected.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let relative = |(e, f): (&f64, &f64)| if e == f { 0.0 } else { (e - f).abs() / scale };
    let larger =
        |worst: f64, x: f64| if x.is_nan() || worst.is_nan() { f64::NAN } else { worst.max(x) };
    expected.iter().zip(found).map(relative).fold(0.0, larger)
}

impl Differences {
    /// Adds a difference.
    pub fn note(&mut self, quantity: &str, place: String, difference: f64) {
        let entry = self.worst.entry(quantity.to_owned()).or_insert((0.0, String::new()));
        // A comparison with NaN is always false.
        if entry.1.is_empty() || difference.is_nan() || difference > entry.0 {
            *entry = (difference, place);
        }
    }

    /// The largest difference of all quantities.
    pub fn largest(&self) -> f64 {
        let larger = |worst: f64, x: f64| if x.is_nan() { x } else { worst.max(x) };
        self.worst.values().map(|(difference, _)| *difference).fold(0.0, larger)
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header([
            "quantity",
            "largest relative difference",
            "place",
            "",
        ]);
        for (quantity, (difference, place)) in &self.worst {
            let verdict = if *difference <= TOLERANCE { "" } else { "differs" };
            table.add_row([quantity, &format!("{difference:.1e}"), place, verdict]);
        }
        write!(f, "{table}")
    }
}
