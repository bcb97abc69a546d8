//! The comparison of a case with computed numbers.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::harness::differences::{Differences, difference};

/// The entries of a case that configure it.
const SETTINGS: [&str; 22] = [
    "batch",
    "classes",
    "lr",
    "momentum",
    "weight_decay",
    "alpha",
    "cap",
    "clip_norm",
    "clip",
    "modalities",
    "labels",
    "running_before",
    "iteration",
    "gamma",
    "momentum_coef",
    "av_alpha",
    "batches_per_epoch",
    "weight1",
    "weight2",
    "epochs_of_a_phase",
    "branch_losses",
    "q_base",
];
const MORE_SETTINGS: [&str; 4] = ["lambda", "p_exe", "alpha_start", "lr_alpha"];

/// Compares every number of `case` that is not a setting with that at the same place of `found`.
pub fn compare(case: &Value, found: &Value) -> Result<Differences> {
    let mut differences = Differences::default();
    let entries = case.as_object().context("a case is a JSON object")?;
    for (key, expected) in entries {
        let setting = SETTINGS.contains(&key.as_str()) || MORE_SETTINGS.contains(&key.as_str());
        if !setting && !expected.is_string() {
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
