//! Terms that are not computed, and errors.

use g2d::{
    PerModality, TeacherOutput,
    loss::{self, Distillation, EnsembleTerm, HeadTarget, HeadTerm},
};
use tch::Kind;

use super::{Case, TASKS, Task, ensemble, head, number};
use crate::support::{assert_config_error, assert_mismatch, names};

#[test]
fn terms_are_none_without_what_they_compare() {
    let case = Case::whole();
    let all = |target| Distillation {
        head: Some(head(target)),
        ensemble: Some(ensemble()),
        ..Distillation::none()
    };
    let y = Task::Single.targets();
    let is_some = |terms: &loss::Terms| -> Vec<bool> {
        terms.head.iter().chain([&terms.ensemble]).map(Option::is_some).collect()
    };
    let terms = |d: Distillation, teachers: &[_], unimodal: &[_]| {
        let terms = case.terms_of(&*Task::Single.loss(d), &y, teachers, unimodal).unwrap();
        let parts = terms.head.iter().chain([&terms.ensemble]).flatten().map(number);
        assert!(parts.count() > 0 || number(&terms.total) == number(&terms.task));
        is_some(&terms)
    };
    let (teachers, heads) = (case.outputs(), case.unimodal());
    let [taught, labelled] = [HeadTarget::Teacher, HeadTarget::Labels].map(all);
    assert_eq!(terms(taught.clone(), &teachers, &heads), [true; 4]);
    assert_eq!(terms(taught.clone(), &[], &heads), [false; 4]);
    assert_eq!(terms(labelled.clone(), &[], &heads), [true, true, true, false]);
    assert_eq!(terms(labelled, &teachers, &[]), [false, false, false, true]);
    let mut weighted = taught;
    weighted.head.as_mut().unwrap().weight = [1.0, 0.0, 1.0].into();
    weighted.ensemble.as_mut().unwrap().weight = 0.0;
    assert_eq!(terms(weighted, &teachers, &heads), [true, false, true, false]);
}

#[test]
fn a_loss_needs_unimodal_logits_for_head_terms_with_a_weight() {
    for task in TASKS {
        let needs = |weight: Option<PerModality<f64>>| {
            let head = weight.map(|weight| HeadTerm { weight, ..HeadTerm::default() });
            task.loss(Distillation { head, ..Distillation::default() }).needs_unimodal_logits()
        };
        assert!(needs(Some(1.0.into())) && needs(Some([0.0, 2.0].into())));
        assert!(!needs(None) && !needs(Some(0.0.into())) && !needs(Some([0.0, 0.0].into())));
    }
}

#[test]
fn heads_and_teachers_that_do_not_match_are_errors() {
    let case = Case::whole();
    let y = Task::Single.targets();
    let found = |d: Distillation, change: fn(&mut TeacherOutput)| {
        let mut teachers = case.outputs();
        change(teachers[1].as_mut().unwrap());
        case.terms_of(&*Task::Single.loss(d), &y, &teachers, &case.unimodal())
    };
    let narrow: fn(&mut TeacherOutput) = |t| t.logits = t.logits.narrow(1, 0, 3);
    let single: fn(&mut TeacherOutput) = |t| t.logits = t.logits.to_kind(Kind::Float);
    let heads = || Distillation { head: Some(HeadTerm::default()), ..Distillation::none() };
    let sum = || Distillation { ensemble: Some(ensemble()), ..Distillation::none() };
    let words = ["unimodal logits of student and teacher \"m1\"", "[5, 3]", "[5, 4]"];
    assert_mismatch(found(heads(), narrow), &words);
    assert_mismatch(found(heads(), single), &[words[0], "Double", "Float"]);
    assert_mismatch(found(sum(), narrow), &["logits of student and teacher \"m1\"", "[5, 3]"]);
    assert_mismatch(found(sum(), single), &["logits of student and teacher \"m1\"", "Float"]);
}

#[test]
fn settings_out_of_range_are_errors() {
    type Set = fn(&mut HeadTerm, &mut EnsembleTerm, f64);
    let settings: [(&str, Set, &[f64]); 5] = [
        ("head.weight", |h, _, x| h.weight = [1.0, x].into(), &[-1.0, f64::NAN, f64::INFINITY]),
        ("head.temperature", |h, _, x| h.temperature = x.into(), &[0.0, -1.0, f64::NAN]),
        ("ensemble.weight", |_, e, x| e.weight = x, &[-1.0, f64::NAN, f64::INFINITY]),
        ("ensemble.temperature", |_, e, x| e.temperature = x, &[0.0, -1.0, f64::INFINITY]),
        (
            "ensemble.teacher_temperature",
            |_, e, x| e.teacher_temperature = [x, 1.0].into(),
            &[0.0, f64::NAN],
        ),
    ];
    for (name, set, values) in settings {
        for value in values {
            let (mut head, mut ensemble) = (HeadTerm::default(), EnsembleTerm::default());
            set(&mut head, &mut ensemble, *value);
            let d = Distillation {
                head: Some(head),
                ensemble: Some(ensemble),
                ..Distillation::default()
            };
            let loss = Task::Single.loss(d);
            assert_config_error(loss.check(&names(2)), &[name, "finite", &value.to_string()]);
        }
    }
    let head = HeadTerm { weight: [1.0; 3].into(), ..HeadTerm::default() };
    let d = Distillation { head: Some(head), ..Distillation::default() };
    let words = ["head.weight", "2, one for each", "found 3"];
    assert_config_error(Task::Multi.loss(d).check(&names(2)), &words);
    let d = Distillation { ensemble: Some(EnsembleTerm::default()), ..Distillation::default() };
    let words = ["ensemble term of a regression", "found one", "classes"];
    assert_config_error(Task::Regression.loss(d).check(&names(2)), &words);
}
