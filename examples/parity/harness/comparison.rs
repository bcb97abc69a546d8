//! Relative differences, the largest of each quantity.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result, ensure};
use comfy_table::{Table, presets::NOTHING};

use super::case::Case;
use super::run::Observed;

/// The largest relative difference that agrees.
pub const TOLERANCE: f64 = 1e-9;

/// The largest relative difference of each quantity, and where it was seen.
pub struct Comparison {
    worst: BTreeMap<String, (f64, String)>,
}

/// Compares every number of `case`.
///
/// A number is compared relative to itself, an entry of a row relative to the row's largest.
///
/// # Errors
/// A quantity in the case that this harness does not know.
pub fn compare(case: &Case, observed: &Observed) -> Result<Comparison> {
    let mut worst = BTreeMap::new();
    let mut note = |quantity: &str, place: String, difference: f64| {
        let entry = worst.entry(quantity.to_owned()).or_insert((0.0, String::new()));
        // NaN must stand out, so it is not left to a comparison.
        if entry.1.is_empty() || difference.is_nan() || difference > entry.0 {
            *entry = (difference, place);
        }
    };
    for (t, (step, found)) in case.steps.iter().zip(&observed.steps).enumerate() {
        for (quantity, expected) in &step.expected {
            let expected = expected.as_slice();
            let found = found.get(quantity).with_context(|| format!("unknown {quantity:?}"))?;
            ensure!(expected.len() <= found.len(), "{quantity}: {} numbers", expected.len());
            note(quantity, format!("step {t}"), difference(expected, found));
        }
    }
    for (name, expected) in &case.final_abs_sum {
        let found =
            observed.final_abs_sum.get(name).with_context(|| format!("unknown {name:?}"))?;
        note("final_abs_sum", name.clone(), difference(&[*expected], &[*found]));
    }
    Ok(Comparison { worst })
}

fn difference(expected: &[f64], found: &[f64]) -> f64 {
    let scale = expected.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let relative = |(e, f): (&f64, &f64)| if e == f { 0.0 } else { (e - f).abs() / scale };
    let larger =
        |worst: f64, x: f64| if x.is_nan() || worst.is_nan() { f64::NAN } else { worst.max(x) };
    expected.iter().zip(found).map(relative).fold(0.0, larger)
}

impl Comparison {
    /// Is every difference within [`TOLERANCE`]?
    pub fn agrees(&self) -> bool {
        self.worst.values().all(|&(difference, _)| difference <= TOLERANCE)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header([
            "quantity",
            "largest relative difference",
            "at",
            "",
        ]);
        for (quantity, (difference, place)) in &self.worst {
            let verdict = if *difference <= TOLERANCE { "" } else { "differs" };
            table.add_row([quantity, &format!("{difference:.1e}"), place, verdict]);
        }
        write!(f, "{table}")
    }
}
