//! Calibrations in files.

use std::fmt::Debug;

use g2d::calibration::{Calibration, FusionWeights, Mixture, Prediction, Robust, Temperature};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{logits, predictions};
use crate::support::{labels, names};

/// Asserts that a value is read back from JSON and TOML; returns its JSON.
#[track_caller]
fn assert_read_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> Value {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value);
    #[derive(Serialize, serde::Deserialize)]
    struct Table<T> {
        value: T,
    }
    let table = toml::to_string(&Table { value }).unwrap();
    assert_eq!(&toml::from_str::<Table<T>>(&table).unwrap().value, value);
    serde_json::from_str(&text).unwrap()
}

/// Asserts that `value` with the number at `pointer` changed is refused, with `words`.
#[track_caller]
fn assert_refused<T: DeserializeOwned + Debug>(
    value: &Value,
    pointer: &str,
    wrong: Value,
    words: &[&str],
) {
    let mut damaged = value.clone();
    *damaged.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} in {value}")) = wrong;
    let message = serde_json::from_value::<T>(damaged).expect_err(pointer).to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is missing in: {message}");
    }
}

fn calibration() -> Calibration {
    let (a, b, y) = (logits(30, 0.0, 2.0), logits(30, 1.0, 5.0), labels(30));
    let each = [&a, &b].into_iter().zip(names(2)).map(|(l, m)| (m, l, &y));
    Calibration::fit(each).unwrap()
}

#[test]
fn a_calibration_is_read_back_and_a_damaged_one_refused() {
    let calibration = calibration();
    let json = assert_read_back(&calibration);
    assert_eq!(json[1]["modality"], "m1");
    let range = ["[0, 1]"];
    for share in ["accuracy", "confidence", "information"] {
        let pointer = format!("/1/{share}");
        for wrong in [json!(1.5), json!(-0.1), json!(null)] {
            assert_refused::<Calibration>(&json, &pointer, wrong, &[]);
        }
        assert_refused::<Calibration>(&json, &pointer, json!(2.0), &range);
    }
    let pointer = "/0/temperature/value";
    for wrong in [0.0, -1.0] {
        assert_refused::<Calibration>(&json, pointer, json!(wrong), &["temperature above 0"]);
    }
    assert_refused::<Calibration>(&json, "/0/temperature/nll", json!(-1e-3), &["NLL"]);
    assert_refused::<Calibration>(&json, "/0", json!({"modality": "m0"}), &["temperature"]);
    assert_refused::<Calibration>(&json, "", json!([]), &["at least one"]);
    let mut misspelt = json.clone();
    misspelt[0]["acuracy"] = json!(0.5);
    assert!(serde_json::from_value::<Calibration>(misspelt).is_err());
    let infinite = "value = inf\nnll = 0.5";
    let message = toml::from_str::<Temperature>(infinite).unwrap_err().to_string();
    assert!(message.contains("finite temperature above 0"), "{message}");
}

#[test]
fn fusion_weights_are_a_list() {
    let weights = calibration().fusion_weights().unwrap();
    let json = assert_read_back(&weights);
    assert_eq!(json.as_array().unwrap().len(), 2);
    for wrong in [json!([]), json!([0.0, 0.0]), json!([1.0, -1.0])] {
        assert_refused::<FusionWeights>(&json, "", wrong, &["fusion weights", "≥ 0"]);
    }
}

#[test]
fn predictions_are_read_back_and_damaged_ones_refused() {
    let validation = predictions();
    for prediction in Prediction::fit_all(&validation).unwrap() {
        let json = assert_read_back(&prediction);
        assert_eq!(json.as_object().unwrap().keys().next().unwrap(), prediction.name());
    }
    let json = assert_read_back(&Mixture::fit(&validation).unwrap());
    assert_refused::<Mixture>(&json, "/alpha", json!(1.1), &["[0, 1]"]);
    assert_refused::<Mixture>(&json, "/fused_temperature", json!(0.0), &["above 0"]);
    assert_refused::<Mixture>(&json, "/head_temperatures/1", json!(-2.0), &["above 0"]);
    assert_refused::<Mixture>(&json, "/nll", json!(-0.5), &["NLL"]);
    let json = assert_read_back(&Robust::fit(&validation).unwrap());
    assert_refused::<Robust>(&json, "/heads/0/temperature", json!(0.0), &["above 0"]);
    assert_refused::<Robust>(&json, "/heads/1/epsilon", json!(1.5), &["[0, 1]"]);
    assert_refused::<Robust>(&json, "/heads/1", json!({"epsilon": 0.5}), &["temperature"]);
}
