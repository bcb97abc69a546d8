//! Balanced training against PyTorch, which tests/python/balanced.py runs.

use g2d::{
    G2dLoss, TeacherOutput,
    batch::{Extras, Rows},
    calibration::{Calibration, Mixture, Robust},
    loss::{Classification, Distillation, EnsembleTerm, HeadTarget, HeadTerm, Input, Regression},
    trainer::Predictions,
};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::{logits, predictions};
use crate::support::{all_present, labels, names, python, script, stdout, wave};

/// Asserts that numbers agree with those of Python to a relative 1e-9.
#[track_caller]
fn assert_python(found: impl IntoIterator<Item = f64>, python: &Value) {
    let found: Vec<f64> = found.into_iter().collect();
    let expected: Vec<f64> = match python {
        Value::Array(numbers) => numbers.iter().map(|x| x.as_f64().unwrap()).collect(),
        number => vec![number.as_f64().unwrap()],
    };
    assert_eq!(found.len(), expected.len(), "{found:?} against {python}");
    for (a, b) in found.iter().zip(expected) {
        approx::assert_relative_eq!(*a, b, max_relative = 1e-9, epsilon = 1e-12);
    }
}

fn numbers(terms: &[Option<Tensor>]) -> Vec<f64> {
    terms.iter().map(|term| term.as_ref().unwrap().double_value(&[])).collect()
}

fn assert_terms(new: &dyn Fn(Distillation) -> Box<dyn G2dLoss>, targets: &Tensor, python: &Value) {
    let leaf = |x: Tensor| x.set_requires_grad(true);
    let fused = leaf(wave(0.1, &[5, 4]) * 2.0);
    let heads: Vec<_> = (0..3).map(|m| leaf(wave(0.4 + 2.0 * m as f64, &[5, 4]))).collect();
    let teachers: Vec<_> = (0..3)
        .map(|m| TeacherOutput {
            features: wave(0.0, &[5, 2]),
            logits: wave(0.6 + m as f64, &[5, 4]) * 3.0,
            host: None,
        })
        .collect();
    let terms = |target| {
        let head = HeadTerm {
            weight: [0.5, 2.0, 1.0].into(),
            temperature: [1.0, 4.0, 2.5].into(),
            target,
        };
        let ensemble = python.get("ensemble").map(|_| EnsembleTerm {
            weight: 0.7,
            temperature: 3.0,
            teacher_temperature: [0.5, 2.0, 1.5].into(),
        });
        let d = Distillation { head: Some(head), ensemble, ..Distillation::none() };
        new(d).terms(&Input {
            modalities: &names(3),
            logits: &fused,
            features: &[],
            teachers: &all_present(&teachers),
            unimodal: &heads.iter().map(|z| Some(z.shallow_clone())).collect::<Vec<_>>(),
            rows: &Rows::all(3),
            targets,
            extras: &Extras::default(),
        })
    };
    assert_python(numbers(&terms(HeadTarget::Labels).unwrap().head), &python["labels"]);
    let found = terms(HeadTarget::Teacher).unwrap();
    assert_python(numbers(&found.head), &python["head"]);
    assert_python([found.total.double_value(&[])], &python["total"]);
    if let Some(ensemble) = &found.ensemble {
        assert_python([ensemble.double_value(&[])], &python["ensemble"]);
    }
    found.total.backward();
    let squares = [&fused].into_iter().chain(&heads).map(|x| x.grad().square().sum(Kind::Double));
    assert_python(squares.map(|square| square.double_value(&[])), &python["gradients"]);
}

fn assert_calibration(python: &Value) {
    let (a, b, y) = (logits(40, 0.0, 2.0), logits(40, 1.1, 30.0), labels(40));
    let each = [&a, &b].into_iter().zip(names(2)).map(|(l, m)| (m, l, &y));
    let found = Calibration::fit(each).unwrap();
    let teachers = found.teachers().iter();
    assert_python(teachers.clone().map(|of| of.temperature.value), &python["temperature"]);
    assert_python(teachers.clone().map(|of| of.temperature.nll), &python["nll"]);
    assert_python(teachers.clone().map(|of| of.confidence), &python["confidence"]);
    assert_python(teachers.map(|of| of.information), &python["information"]);
}

fn assert_mixture(python: &Value) {
    let found = Mixture::fit(&predictions()).unwrap();
    assert_python([found.alpha], &python["alpha"]);
    assert_python([found.fused_temperature], &python["fused"]);
    assert_python(found.head_temperatures, &python["heads"]);
    assert_python([found.nll], &python["nll"]);
}

/// The search for t and ε leaves an error of the square root of that of the NLL.
fn assert_robust(python: &Value) {
    let rows: Vec<Vec<f64>> = serde_json::from_value(python["logits"].clone()).unwrap();
    let logits = Tensor::from_slice2(&rows);
    let validation = Predictions {
        logits: logits.shallow_clone(),
        heads: vec![(names(1)[0].clone(), logits)],
        present: Vec::new(),
        targets: labels(40),
    };
    let found = Robust::fit(&validation).unwrap();
    assert_python([found.nll], &python["nll"]);
    for (found, name) in
        [(found.heads[0].temperature, "temperature"), (found.heads[0].epsilon, "epsilon")]
    {
        let expected = python[name].as_f64().unwrap();
        approx::assert_relative_eq!(found, expected, max_relative = 1e-5);
    }
}

#[test]
fn balanced_training_and_calibration_agree_with_pytorch() {
    let Some(mut python) = python() else { return };
    let text = stdout(python.arg(script("balanced.py")));
    let found: Value = serde_json::from_str(&text).unwrap();
    let classes = Tensor::from_slice(&[2_i64, 0, 3, 1, 2]);
    assert_terms(&|d| Box::new(Classification::new(d)), &classes, &found["single"]);
    let one_hot = classes.one_hot(4).to_kind(Kind::Double);
    assert_terms(&|d| Box::new(Classification::multi_label(d)), &one_hot, &found["multi"]);
    assert_terms(&|d| Box::new(Regression::new(d)), &wave(0.8, &[5, 4]), &found["regression"]);
    assert_calibration(&found["calibration"]);
    assert_mixture(&found["mixture"]);
    assert_robust(&found["robust"]);
}
