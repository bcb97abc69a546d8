//! The comparison of a case with computed numbers.

use anyhow::{Context, Result};
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

/// Compares every number of `case` that is not a setting with that at the same place of `found`. A number
/// that is missing there, and another flag or length, is an infinite difference.
pub fn compare(case: &Value, found: &Value) -> Result<Differences> {
    let mut differences = Differences::default();
    let entries = case.as_object().context("a case is a JSON object")?;
    for (key, expected) in entries {
        if !is_setting(key, expected) {
            walk(key, key, expected, &found[key], &mut differences);
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
) {
    let own = match expected {
        Value::String(_) => return,
        Value::Null | Value::Bool(_) => (expected == found).then_some(0.0),
        Value::Number(_) => {
            let numbers = expected.as_f64().zip(found.as_f64());
            numbers.map(|(expected, found)| difference(&[expected], &[found]))
        }
        Value::Array(items) if items.iter().all(Value::is_number) => {
            let numbers = numbers(expected).zip(numbers(found));
            let numbers = numbers.filter(|(expected, found)| expected.len() <= found.len());
            numbers.map(|(expected, found)| difference(&expected, &found))
        }
        Value::Array(items) => {
            for (i, expected) in items.iter().enumerate() {
                walk(&format!("{place}[{i}]"), quantity, expected, &found[i], differences);
            }
            return;
        }
        Value::Object(items) => {
            for (key, expected) in items {
                let quantity = match quantity {
                    "final_abs_sum" => quantity.to_owned(),
                    _ => format!("{quantity}.{key}"),
                };
                walk(&format!("{place}.{key}"), &quantity, expected, &found[key], differences);
            }
            return;
        }
    };
    differences.note(quantity, place.to_owned(), own.unwrap_or(f64::INFINITY));
}

fn numbers(value: &Value) -> Option<Vec<f64>> {
    value.as_array()?.iter().map(Value::as_f64).collect()
}
