//! The comparison of a case with computed numbers.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::harness::differences::{Differences, difference};

/// The entries of a case that configure it.
const SETTINGS: [&str; 26] = [
    "alpha",
    "alpha_start",
    "av_alpha",
    "batch",
    "batches_per_epoch",
    "branch_losses",
    "cap",
    "classes",
    "clip",
    "clip_norm",
    "epochs_of_a_phase",
    "gamma",
    "iteration",
    "labels",
    "lambda",
    "lr",
    "lr_alpha",
    "modalities",
    "momentum",
    "momentum_coef",
    "p_exe",
    "q_base",
    "running_before",
    "weight1",
    "weight2",
    "weight_decay",
];

/// Whether the entry of a case configures it or describes it, so that it is not compared.
pub fn is_setting(key: &str, value: &Value) -> bool {
    SETTINGS.contains(&key) || value.is_string()
}

/// Compares every number of `case` that is not a setting with that at the same place of `found`.
pub fn compare(case: &Value, found: &Value) -> Result<Differences> {
    let mut differences = Differences::default();
    let entries = case.as_object().context("a case is a JSON object")?;
    for (key, expected) in entries {
        if !is_setting(key, expected) {
            walk(key, key, expected, &found[key], &mut differences)?;
        }
    }
    Ok(differences)
}

/// `quantity` is the path without indices.
fn walk(
    place: &str,
    quantity: &str,
    expected: &Value,
    found: &Value,
    differences: &mut Differences,
) -> Result<()> {
    let mismatch = || format!("{place}: expected {expected}, found {found}");
    match expected {
        Value::String(_) => {}
        Value::Null => ensure!(found.is_null(), mismatch()),
        Value::Bool(_) => ensure!(found == expected, mismatch()),
        Value::Number(number) => {
            let expected = number.as_f64().with_context(mismatch)?;
            let found = found.as_f64().with_context(mismatch)?;
            differences.note(quantity, place.to_owned(), difference(&[expected], &[found]));
        }
        Value::Array(items) if items.iter().all(Value::is_number) => {
            let numbers = |value: &Value| -> Option<Vec<f64>> {
                value.as_array()?.iter().map(Value::as_f64).collect()
            };
            let (expected, found) =
                (numbers(expected).with_context(mismatch)?, numbers(found).with_context(mismatch)?);
            ensure!(expected.len() <= found.len(), mismatch());
            differences.note(quantity, place.to_owned(), difference(&expected, &found));
        }
        Value::Array(items) => {
            let Some(found) = found.as_array().filter(|found| found.len() == items.len()) else {
                bail!(mismatch());
            };
            for (i, (expected, found)) in items.iter().zip(found).enumerate() {
                walk(&format!("{place}[{i}]"), quantity, expected, found, differences)?;
            }
        }
        Value::Object(items) => {
            for (key, expected) in items {
                let place = format!("{place}.{key}");
                let quantity = if quantity == "final_abs_sum" {
                    quantity.to_owned()
                } else {
                    format!("{quantity}.{key}")
                };
                walk(&place, &quantity, expected, &found[key], differences)?;
            }
        }
    }
    Ok(())
}
