//! Head and ensemble terms in reports, and states and reports without them.

use g2d::{
    EpochReport,
    loss::{Classification, Distillation},
    trainer::ResumeState,
};
use serde_json::Value;

use super::all_terms;
use crate::support::{Tiny, assert_number};

#[test]
fn reports_have_the_head_and_ensemble_terms_and_their_means() {
    let student = Tiny::linear(2);
    let run = |loss: Distillation| {
        let builder = student.builder_with_teachers(Classification::new(loss));
        let mut trainer = builder.build(&student).unwrap();
        let steps: Vec<_> = [2, 6]
            .map(|rows| trainer.step(&student, &student.batch(rows, rows as f64)).unwrap())
            .map(|report| report.read().unwrap())
            .into();
        (steps, trainer.end_epoch().unwrap())
    };
    let (steps, epoch) = run(all_terms());
    let mean = |a: f64, b: f64| (2.0 * a + 6.0 * b) / 8.0;
    for m in 0..2 {
        let [a, b] = [0, 1].map(|i: usize| steps[i].terms.head[m].unwrap());
        assert_number(epoch.terms.head[m].unwrap(), mean(a, b));
    }
    let [a, b] = [0, 1].map(|i: usize| steps[i].terms.ensemble.unwrap());
    assert_number(epoch.terms.ensemble.unwrap(), mean(a, b));
    let text = serde_json::to_string(&epoch).unwrap();
    assert_eq!(serde_json::from_str::<EpochReport>(&text).unwrap(), epoch);

    let (steps, epoch) = run(Distillation::default());
    assert!(steps.iter().all(|step| step.terms.head.is_empty() && step.terms.ensemble.is_none()));
    assert!(epoch.terms.head.is_empty() && epoch.terms.ensemble.is_none());
    let text = serde_json::to_string(&epoch).unwrap();
    assert!(!text.contains("head") && !text.contains("ensemble"), "{text}");
}

/// Removes the keys that versions without these terms did not write.
fn without_new_keys(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.remove("head");
            entries.remove("ensemble");
            entries.values_mut().for_each(without_new_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(without_new_keys),
        _ => {}
    }
}

#[test]
fn states_and_reports_of_versions_without_these_terms_are_read() {
    let student = Tiny::linear(2);
    let run = |distillation: Distillation, old: bool| {
        let new = || {
            let loss = Classification::new(distillation.clone());
            student.builder_with_teachers(loss).build(&student).unwrap()
        };
        let mut trainer = new();
        trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        let mut state = serde_json::to_value(trainer.state().unwrap()).unwrap();
        let written = state.clone();
        if old {
            without_new_keys(&mut state);
            assert_ne!(state, written);
        }
        let mut resumed = new();
        let state: ResumeState = serde_json::from_value(state).unwrap();
        resumed.restore(&state).unwrap();
        for trainer in [&mut trainer, &mut resumed] {
            trainer.step(&student, &student.batch(6, 1.0)).unwrap();
        }
        (trainer.end_epoch().unwrap(), resumed.end_epoch().unwrap())
    };
    for (distillation, old) in
        [(Distillation::default(), true), (Distillation::default(), false), (all_terms(), false)]
    {
        let (expected, found) = run(distillation, old);
        assert_eq!(found, expected);
    }
    // The means of the new terms are over the rest of the epoch.
    let (whole, resumed) = run(all_terms(), true);
    assert_eq!(resumed.terms.feature, whole.terms.feature);
    assert_eq!(resumed.terms.logit, whole.terms.logit);
    assert_eq!(resumed.confidence, whole.confidence);
    assert!(resumed.terms.head.iter().all(Option::is_some) && resumed.terms.ensemble.is_some());

    let mut report = serde_json::to_value(&whole).unwrap();
    without_new_keys(&mut report);
    let report: EpochReport = serde_json::from_value(report).unwrap();
    assert!(report.terms.head.is_empty() && report.terms.ensemble.is_none());
    assert_eq!(report.terms.feature, whole.terms.feature);
}
