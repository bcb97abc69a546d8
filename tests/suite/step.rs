//! Reports of steps and epochs: values computed by hand, and the form in files.

use g2d::{
    EpochReport, Modality, StepOutcome, Student,
    loss::Terms,
    loss::{Classification, Distillation},
    schedule::Progress,
    step::{Measurement, StepValues},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::support::{FixedKappa, Tiny, assert_number};

#[test]
fn an_epoch_reports_the_means_of_its_steps_over_their_samples() {
    let student = Tiny::linear(2);
    let loss =
        Classification::new(Distillation { alpha: 0.5, beta: 0.0, ..Distillation::default() });
    let mut trainer = student
        .builder_with_teachers(loss)
        .scheduler(FixedKappa(vec![0.25, 1.0]))
        .build(&student)
        .unwrap();
    let mut steps = Vec::new();
    let at = |epoch, step, total_steps| Progress { epoch, step, total_steps, updates: total_steps };
    for (step, rows) in [2, 6].into_iter().enumerate() {
        assert_eq!(trainer.progress(), at(0, step as u64, step as u64));
        let report = trainer.step(&student, &student.batch(rows, rows as f64)).unwrap();
        let read = report.read().unwrap();
        assert_eq!(read.at, at(0, step as u64, step as u64));
        assert_eq!((report.at, report.batch_size), (read.at, rows));
        assert_eq!(read.kappa, [0.25, 1.0]);
        assert_eq!(read.terms.total, report.terms.total.double_value(&[]));
        assert_eq!(read.terms.task, report.terms.task.double_value(&[]));
        for m in 0..2 {
            let term = report.terms.feature[m].as_ref().unwrap();
            assert_eq!(read.terms.feature[m], Some(term.double_value(&[])));
            let rho = report.confidence[m].as_ref().unwrap().double_value(&[]);
            assert_eq!(read.confidence[m], Some(rho));
        }
        assert_eq!(read.terms.logit, [None, None]);
        let weighted = 0.5 * (read.terms.feature[0].unwrap() + read.terms.feature[1].unwrap());
        assert_number(read.terms.total, read.terms.task + weighted);
        steps.push(read);
    }
    let epoch = trainer.end_epoch().unwrap();
    let mean = |a: f64, b: f64| (2.0 * a + 6.0 * b) / 8.0; // 2 and 6 samples
    assert_eq!((epoch.epoch, epoch.steps), (0, 2));
    assert_number(epoch.terms.total, mean(steps[0].terms.total, steps[1].terms.total));
    assert_number(epoch.terms.task, mean(steps[0].terms.task, steps[1].terms.task));
    for m in 0..2 {
        let feature = mean(steps[0].terms.feature[m].unwrap(), steps[1].terms.feature[m].unwrap());
        assert_number(epoch.terms.feature[m].unwrap(), feature);
        let rho = mean(steps[0].confidence[m].unwrap(), steps[1].confidence[m].unwrap());
        assert_number(epoch.confidence[m].unwrap(), rho);
    }
    assert_eq!(epoch.terms.logit, [None, None]);
    assert_eq!(epoch.kappa, [0.25, 1.0]);
    assert_eq!(epoch.modalities, student.modalities());

    assert_eq!(trainer.progress(), at(1, 0, 2));
    let only = trainer.step(&student, &student.batch(3, 0.0)).unwrap().read().unwrap();
    let epoch = trainer.end_epoch().unwrap();
    assert_eq!((epoch.epoch, epoch.steps), (1, 1));
    assert_number(epoch.terms.total, only.terms.total); // without the first epoch's values
    assert_eq!(trainer.progress(), at(2, 0, 3));
}

/// A value after a round trip through JSON, and the JSON.
fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> (T, Value) {
    let text = serde_json::to_string(value).unwrap();
    (serde_json::from_str(&text).unwrap(), serde_json::from_str(&text).unwrap())
}

fn keys(json: &Value) -> Vec<&str> {
    json.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn reports_of_a_training_keep_every_bit_in_json() {
    let student = Tiny::linear(2);
    let mut trainer =
        student.builder_with_teachers(Classification::default()).build(&student).unwrap();
    let step = trainer.step(&student, &student.batch(4, 0.0)).unwrap().read().unwrap();
    let epoch = trainer.end_epoch().unwrap();
    assert_eq!(round_trip(&step).0, step);
    let restored = round_trip(&epoch).0;
    assert_eq!(restored, epoch);
    assert_eq!(restored.terms.total.to_bits(), epoch.terms.total.to_bits());
}

#[test]
fn an_epoch_report_in_json_has_the_terms_at_top_level_and_keeps_numbers_that_are_not_finite() {
    let report = EpochReport {
        epoch: 3,
        steps: 7,
        skipped: 2,
        unfinished: 1,
        modalities: Modality::list(["a", "b"]),
        terms: Terms {
            total: f64::INFINITY,
            task: 0.1 + 0.2,
            feature: vec![Some(f64::NEG_INFINITY), None],
            logit: vec![None, Some(-0.0)],
            head: Vec::new(),
            ensemble: None,
        },
        confidence: vec![Some(0.75), None],
        kappa: vec![0.0, 1.0],
        measurements: vec![
            Measurement::new("gradient_norm", &"a".into(), f64::INFINITY),
            Measurement { metric: "fused_accuracy".into(), modality: None, value: 0.5 },
        ],
    };
    let (restored, json) = round_trip(&report);
    assert_eq!(restored, report);
    let expected = json!({
        "epoch": 3, "steps": 7, "skipped": 2, "unfinished": 1, "modalities": ["a", "b"],
        "total": "inf", "task": 0.1 + 0.2, "feature": ["-inf", null], "logit": [null, -0.0],
        "confidence": [0.75, null], "kappa": [0.0, 1.0],
        "measurements": [
            {"metric": "gradient_norm", "modality": "a", "value": "inf"},
            {"metric": "fused_accuracy", "modality": null, "value": 0.5},
        ],
    });
    assert_eq!(json, expected);

    let nan = EpochReport {
        terms: Terms { total: f64::NAN, logit: vec![Some(f64::NAN), None], ..report.terms.clone() },
        ..report
    };
    let (restored, json) = round_trip(&nan);
    assert!(restored.terms.total.is_nan() && restored.terms.logit[0].unwrap().is_nan());
    assert_eq!((&json["total"], &json["logit"]), (&json!("NaN"), &json!(["NaN", null])));
}

#[test]
fn step_values_in_json_have_the_terms_at_top_level_and_keep_numbers_that_are_not_finite() {
    let values = StepValues {
        at: Progress::default(),
        outcome: StepOutcome::Ready,
        kappa: vec![1.0, 0.5],
        terms: Terms {
            total: f64::NAN,
            task: f64::INFINITY,
            feature: vec![None, Some(f64::NAN)],
            logit: vec![Some(f64::NEG_INFINITY), Some(-0.0)],
            head: Vec::new(),
            ensemble: None,
        },
        confidence: vec![Some(0.1 + 0.2), None],
    };
    let (restored, json) = round_trip(&values);
    let names = ["at", "confidence", "feature", "kappa", "logit", "outcome", "task", "total"];
    assert_eq!(keys(&json), names);
    assert_eq!([&json["total"], &json["task"]], [&json!("NaN"), &json!("inf")]);
    assert_eq!(json["feature"], json!([null, "NaN"]));
    let bits = |v: &StepValues| {
        let each = [&v.terms.feature, &v.terms.logit, &v.confidence].into_iter().flatten();
        let each = each.map(|n| n.map(f64::to_bits)).collect::<Vec<_>>();
        (v.terms.total.is_nan(), v.terms.task, v.kappa.clone(), each)
    };
    assert_eq!(bits(&restored), bits(&values));
}

#[test]
fn a_measurement_needs_a_number_or_the_text_of_one_that_is_not_finite() {
    let measurement = Measurement::new("gradient_norm", &Modality::new("a"), f64::NAN);
    assert!(round_trip(&measurement).0.value.is_nan());
    let json = serde_json::to_string(&measurement).unwrap();
    for invalid in [r#""1.5""#, r#""high""#, "true"] {
        let json = json.replace(r#""NaN""#, invalid);
        let message = serde_json::from_str::<Measurement>(&json).unwrap_err().to_string();
        assert!(
            message.contains("expected a number") || message.contains("a number, "),
            "{message}"
        );
    }
}
