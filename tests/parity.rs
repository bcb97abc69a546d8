//! Numeric parity with the authors' code, on golden cases and on other settings, run by plain PyTorch.
#![cfg(feature = "paper")]

#[path = "../examples/parity/harness/mod.rs"]
mod harness;
#[path = "support/skip.rs"]
mod skip;

use std::process::Command;

use serde_json::{Value, json};

use harness::{GoldenCase, TOLERANCE, baseline_cases, baselines, compare, golden_cases, run};

/// The JSON pointers of all numbers in these entries of a case.
fn expected_numbers<'a>(case: &Value, parts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    fn walk(value: &Value, path: String, found: &mut Vec<String>) {
        match value {
            Value::Number(_) if !path.ends_with("/epoch") => found.push(path),
            Value::Array(items) => {
                let each = items.iter().enumerate();
                each.for_each(|(i, item)| walk(item, format!("{path}/{i}"), found));
            }
            Value::Object(items) => {
                let key = |key: &str| key.replace('~', "~0").replace('/', "~1");
                items.iter().for_each(|(k, item)| walk(item, format!("{path}/{}", key(k)), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    for part in parts {
        walk(&case[part], format!("/{part}"), &mut found);
    }
    found
}

#[test]
fn golden_cases_agree_and_every_number_is_compared() {
    let paths = golden_cases().unwrap();
    if paths.is_empty() {
        skip::skipped("no cases in ../shared/golden");
    }
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let case = GoldenCase::parse(&text).unwrap();
        let computed = run(&case).unwrap();
        let differences = compare(&case, &computed).unwrap();
        assert!(differences.largest() <= TOLERANCE, "{}\n{differences}", path.display());

        let case: Value = serde_json::from_str(&text).unwrap();
        let numbers = expected_numbers(&case, ["steps", "final_abs_sum"]);
        assert!(numbers.len() > 100, "{}: {} numbers", path.display(), numbers.len());
        for number in numbers {
            let mut wrong = case.clone();
            let place = wrong.pointer_mut(&number).unwrap();
            let value = place.as_f64().unwrap();
            *place = (value + (1e4 * TOLERANCE) * value.abs().max(1.0)).into();
            let wrong = GoldenCase::parse(&wrong.to_string()).unwrap();
            assert!(
                compare(&wrong, &computed).unwrap().largest() > TOLERANCE,
                "{number} is not compared"
            );
        }
    }
}

#[test]
fn cases_of_other_methods_agree_and_every_number_is_compared() {
    let paths = baseline_cases().unwrap();
    if paths.is_empty() {
        skip::skipped("no cases in ../shared/golden/baselines");
    }
    for path in paths {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(baselines::is_baseline(&case), "{}", path.display());
        let computed = baselines::run(&case, &path.file_stem().unwrap().to_string_lossy()).unwrap();
        let differences = baselines::tree::compare(&case, &computed).unwrap();
        assert!(differences.largest() <= TOLERANCE, "{}\n{differences}", path.display());

        let compared = case.as_object().unwrap().iter();
        let compared = compared.filter(|(key, value)| !baselines::tree::is_setting(key, value));
        let numbers = expected_numbers(&case, compared.map(|(key, _)| key.as_str()));
        assert!(numbers.len() > 50, "{}: {} numbers", path.display(), numbers.len());
        for number in numbers {
            let mut wrong = case.clone();
            let place = wrong.pointer_mut(&number).unwrap();
            let value = place.as_f64().unwrap();
            *place = (value + (1e4 * TOLERANCE) * value.abs().max(1.0)).into();
            let differences = baselines::tree::compare(&wrong, &computed).unwrap();
            assert!(differences.largest() > TOLERANCE, "{number} is not compared");
        }
    }
}

/// Settings that no golden case has: another data set, other fusions under OGM, weights of 0, skipped
/// and repeated epochs, other hyper-parameters.
fn other_settings() -> Vec<Value> {
    let case = |dataset, fusion, modulation, alpha, weights: [f64; 4], epochs: &[u64]| {
        let [logit_audio, feature_audio, logit_visual, feature_visual] = weights;
        json!({
            "dataset": dataset, "fusion": fusion, "modulation": modulation, "alpha": alpha,
            "modulation_starts": 2, "modulation_ends": 5, "batch": 4,
            "temperature_audio": 1.5, "temperature_visual": 4,
            "weights": {
                "logit_audio": logit_audio, "feature_audio": feature_audio,
                "logit_visual": logit_visual, "feature_visual": feature_visual,
            },
            "lr": 0.002, "momentum": 0.5, "weight_decay": 0.01,
            "steps": epochs.iter().map(|epoch| json!({ "epoch": epoch })).collect::<Vec<_>>(),
            "final_abs_sum": {},
        })
    };
    vec![
        case("VGGSound", "film", "OGM", 1.0, [1.0, 0.0, 0.5, 1.0], &[1, 2, 2]),
        case("CREMAD", "gated", "OGM", 0.3, [0.0, 0.0, 0.0, 0.0], &[5, 6]),
        case("VGGSound", "concat", "G2D", 1.0, [0.0, 2.0, 1.0, 0.0], &[0, 5, 9]),
        case("CREMAD", "late", "OGM", 0.5, [1.0, 1.0, 1.0, 1.0], &[3, 4]),
        case("VGGSound", "sum", "Normal", 1.0, [0.5, 1.0, 1.0, 0.0], &[2, 100]),
    ]
}

#[test]
fn other_settings_agree_with_plain_pytorch() {
    let Some(python) = std::env::var_os("G2D_PYTHON") else {
        skip::skipped("G2D_PYTHON is not set to a Python with torch");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/case.py");
    let [settings, cases] = ["settings.json", "cases.json"].map(|name| folder.path().join(name));
    std::fs::write(&settings, Value::from(other_settings()).to_string()).unwrap();
    let output =
        Command::new(&python).args(["-B", script]).args([&settings, &cases]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cases: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(&cases).unwrap()).unwrap();
    assert_eq!(cases.len(), other_settings().len());
    for (given, case) in other_settings().iter().zip(cases) {
        let case = GoldenCase::parse(&case.to_string()).unwrap();
        let differences = compare(&case, &run(&case).unwrap()).unwrap();
        assert!(differences.largest() <= TOLERANCE, "{given}\n{differences}");
    }
}
