//! Numeric parity with the authors' code, on the golden cases beside the repository.
#![cfg(feature = "paper")]

#[path = "../examples/parity/harness/mod.rs"]
mod harness;

use serde_json::Value;

use harness::{Case, TOLERANCE, compare, golden, run};

/// Paths (JSON pointers) of every number that the authors' code reported.
fn reported(case: &Value) -> Vec<String> {
    fn walk(value: &Value, path: String, found: &mut Vec<String>) {
        match value {
            Value::Number(_) if !path.ends_with("/epoch") => found.push(path),
            Value::Array(items) => {
                let each = items.iter().enumerate();
                each.for_each(|(i, item)| walk(item, format!("{path}/{i}"), found));
            }
            Value::Object(items) => {
                items.iter().for_each(|(key, item)| walk(item, format!("{path}/{key}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for part in ["steps", "final_abs_sum"] {
        walk(&case[part], format!("/{part}"), &mut found);
    }
    found
}

#[test]
fn golden_cases_agree_and_every_number_of_them_counts() {
    let paths = golden().unwrap();
    if paths.is_empty() {
        println!("skipped: no cases in ../shared/golden");
    }
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let case = Case::parse(&text).unwrap();
        let observed = run(&case).unwrap();
        let comparison = compare(&case, &observed).unwrap();
        assert!(comparison.agrees(), "{}\n{comparison}", path.display());

        let case: Value = serde_json::from_str(&text).unwrap();
        let numbers = reported(&case);
        assert!(numbers.len() > 100, "{}: {} numbers", path.display(), numbers.len());
        for number in numbers {
            let mut wrong = case.clone();
            let place = wrong.pointer_mut(&number).unwrap();
            let value = place.as_f64().unwrap();
            *place = (value + (1e4 * TOLERANCE) * value.abs().max(1.0)).into();
            let wrong = Case::parse(&wrong.to_string()).unwrap();
            assert!(!compare(&wrong, &observed).unwrap().agrees(), "{number} is not compared");
        }
    }
}
