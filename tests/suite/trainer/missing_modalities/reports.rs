//! Epoch means, probes, evaluation and caches.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Batch, Student, Teacher, evaluate,
    loss::Classification,
    probe::{ConfidenceRatio, GradientNorm},
    schedule::Sequential,
    step::Measurement,
    teacher::Cached,
    trainer::evaluate_teacher,
};
use tch::{Kind, Tensor};

use super::masked;
use crate::support::{
    CLASSES, SharedConfidence, Tiny, WIDTH, assert_close, assert_error, assert_number, assert_same,
    fuse, gradients, select_rows, values, with_prefix,
};

/// Presence flags of three modalities and four rows.
fn flags() -> Vec<Vec<bool>> {
    let (yes, no) = (true, false);
    vec![vec![yes, no, yes, yes], vec![no, yes, yes, no], vec![yes, yes, no, no]]
}

fn value(found: &[Measurement], metric: &str, m: usize) -> Option<f64> {
    let name = format!("m{m}");
    let own = |f: &&Measurement| {
        f.metric == metric && f.modality.as_ref().is_some_and(|m| m.name() == name)
    };
    found.iter().find(own).map(|f| f.value)
}

#[test]
fn epoch_means_of_a_modality_are_over_the_samples_that_have_it() {
    let student = Tiny::linear(3);
    let probes =
        student.builder_with_teachers(Classification::default()).probe(ConfidenceRatio::default());
    let mut trainer = probes.probe(GradientNorm::default()).build(&student).unwrap();
    let second = vec![vec![true; 4], vec![false; 4], vec![true; 4]];
    let mut steps = Vec::new();
    let mut norm = 0.0;
    for (seed, present) in [(0.0, flags()), (1.0, second)] {
        student.optimizer().zero_grad();
        let report = trainer.step(&student, &masked(&student, seed, &present)).unwrap();
        steps.push((report.present.clone(), report.read().unwrap()));
        let squares = with_prefix(&gradients(&student.vs), "m1");
        let squares = squares.values().map(|g| g.square().sum(Kind::Double).double_value(&[]));
        norm += squares.sum::<f64>().sqrt();
    }
    assert_eq!([&steps[0].0[..], &steps[1].0], [[3, 2, 2], [4, 0, 4]]);
    let epoch = trainer.end_epoch().unwrap();
    assert_number(epoch.terms.total, (steps[0].1.terms.total + steps[1].1.terms.total) / 2.0);
    let mean = |m: usize, pick: &dyn Fn(&g2d::step::StepValues) -> Option<f64>| {
        let own = steps.iter().filter_map(|(counts, v)| Some((counts[m] as f64, pick(v)?)));
        let (rows, sum) = own.fold((0.0, 0.0), |(n, s), (rows, v)| (n + rows, s + rows * v));
        sum / rows
    };
    let mut rho = [0.0; 3];
    for (m, rho) in rho.iter_mut().enumerate() {
        *rho = mean(m, &|v| v.confidence[m]);
        assert_number(epoch.confidence[m].unwrap(), *rho);
        assert_number(value(&epoch.measurements, "confidence", m).unwrap(), *rho);
        assert_number(epoch.terms.feature[m].unwrap(), mean(m, &|v| v.terms.feature[m]));
        assert_number(epoch.terms.logit[m].unwrap(), mean(m, &|v| v.terms.logit[m]));
    }
    assert_eq!(steps[1].1.confidence[1], None);
    assert_eq!(epoch.kappa, [1.0, 0.5, 1.0]);
    let ratio = (rho[1] / rho[0] + rho[1] / rho[2]) / 2.0;
    assert_number(value(&epoch.measurements, "confidence_ratio", 1).unwrap(), ratio);
    // The step without m1 is left out.
    assert_number(value(&epoch.measurements, "gradient_norm", 1).unwrap(), norm);
}

#[test]
fn an_epoch_without_a_modality_reports_no_value_of_it() {
    let student = Tiny::linear(3);
    let schedule = Sequential::new([9]).ranking(g2d::schedule::Ranking::PreviousEpoch);
    let probes =
        student.builder_with_teachers(Classification::default()).probe(ConfidenceRatio::default());
    let probes = probes.probe(GradientNorm::default()).scheduler(schedule);
    let mut trainer = probes.build(&student).unwrap();
    let incomplete = vec![vec![true; 3], vec![false; 3], vec![true; 3]];
    trainer.step(&student, &masked(&student, 0.0, &incomplete)).unwrap();
    let epoch = trainer.end_epoch().unwrap();
    assert_eq!([epoch.confidence[1], epoch.terms.feature[1], epoch.terms.logit[1]], [None; 3]);
    for metric in ["confidence", "confidence_ratio", "gradient_norm"] {
        assert_eq!(value(&epoch.measurements, metric, 1), None);
        assert!(value(&epoch.measurements, metric, 0).unwrap().is_finite());
    }
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    assert!(trainer.end_epoch().unwrap().confidence[1].is_some());
}

#[test]
fn cached_teachers_make_the_same_steps_as_live_ones_for_the_present_samples() {
    let train = |cached: bool| {
        let student = Tiny::linear(3);
        let batch = || masked(&student, 0.0, &flags());
        let loss = Classification::default();
        let builder = match cached {
            false => student.builder_with_teachers(loss),
            true => student.builder_with_cached_teachers(loss, || vec![batch()]),
        };
        let mut trainer = builder.scheduler(Sequential::new([10])).build(&student).unwrap();
        let batches = [batch(), batch()];
        let steps = student.train(&mut trainer, &mut student.optimizer(), batches);
        (steps, values(&student.vs))
    };
    let ((live, live_values), (cached, cached_values)) = (train(false), train(true));
    assert_eq!(live, cached);
    assert_same(&live_values, &cached_values);
}

#[test]
fn only_samples_that_have_the_modality_are_recorded() {
    let student = Tiny::linear(3);
    let (live, _vs) = student.teacher(1, WIDTH);
    let recorded = Cached::record(&live, 1, [Ok(masked(&student, 0.0, &flags()))]).unwrap();
    assert_eq!(recorded.len(), 2);
    assert_error(recorded.output(1, &student.batch(4, 0.0)), &["2 unknown: 100, 103"]);
    let missing = vec![vec![true; 2], vec![false; 2], vec![true; 2]];
    let found = Cached::record(&live, 1, [Ok(masked(&student, 0.0, &missing))]);
    assert_error(found, &["samples that have its modality", "none"]);
    let both = [Ok(masked(&student, 0.0, &missing)), Ok(student.batch(2, 0.0))];
    assert_eq!(Cached::record(&live, 1, both).unwrap().len(), 2);
}

#[test]
fn an_evaluation_leaves_out_missing_rows() {
    let student = Tiny::conv(3);
    let incomplete = vec![vec![true; 3], vec![false; 3], vec![false, true, true]];
    let batches = || [student.batch(2, 2.0), masked(&student, 0.0, &incomplete)].map(Ok);
    let before = values(&student.vs);
    let predictions = evaluate(&student, batches()).unwrap();
    assert_same(&values(&student.vs), &before);
    assert_eq!(predictions.logits.size(), [5, CLASSES]);
    assert!(bool::try_from(predictions.logits.isfinite().all()).unwrap());

    let [first, second] = batches().map(g2d::Result::unwrap);
    let part = select_rows(&second, &[1, 2]);
    let zeros = |rows| Tensor::zeros([rows, WIDTH], (Kind::Double, tch::Device::Cpu));
    let encode = |m, batch: &Batch| student.encode(m, batch, false).unwrap();
    let features = [encode(0, &second), zeros(3), Tensor::cat(&[zeros(1), encode(2, &part)], 0)];
    assert_close(&predictions.logits.slice(0, 2, 5, 1), &fuse(&student, &features, &second, false));

    let names: Vec<_> = predictions.present.iter().map(|(m, _)| m.name()).collect();
    assert_eq!(names, ["m1", "m2"]);
    assert_eq!(predictions.present[0].1, [true, true, false, false, false]);
    assert_eq!(predictions.present[1].1, [true, true, false, true, true]);
    let accuracy = |m: usize, rows: &[i64]| {
        let index = Tensor::from_slice(rows);
        let logits = predictions.heads[m].1.index_select(0, &index);
        let labels = predictions.targets.index_select(0, &index);
        logits.argmax(1, false).eq_tensor(&labels).mean(Kind::Double).double_value(&[])
    };
    let found: Vec<f64> =
        predictions.head_accuracy().unwrap().into_iter().map(|(_, a)| a).collect();
    let expected =
        [accuracy(0, &[0, 1, 2, 3, 4]), accuracy(1, &[0, 1]), accuracy(2, &[0, 1, 3, 4])];
    assert_eq!(found, expected);

    // A modality that no sample has is left out.
    let predictions = evaluate(&student, [Ok(masked(&student, 0.0, &incomplete))]).unwrap();
    let names: Vec<_> = predictions.head_accuracy().unwrap().into_iter().map(|(m, _)| m).collect();
    assert_eq!(names, ["m0".into(), "m2".into()]);

    let (teacher, _vs) = student.teacher(2, WIDTH);
    let found = evaluate_teacher(&teacher, 2, batches()).unwrap();
    let live = |batch: &Batch| teacher.output(2, batch).unwrap().logits;
    assert_close(&found.logits, &Tensor::cat(&[live(&first), live(&part)], 0));
    assert_eq!(Vec::<i64>::try_from(&found.targets).unwrap(), [0, 1, 1, 2]);
    let missing = [Ok(masked(&student, 0.0, &incomplete))];
    assert_error(evaluate_teacher(&teacher, 1, missing).map(drop), &["evaluation", "none"]);
}

#[test]
fn presence_flags_are_kept_on_a_copy_to_a_device() {
    let student = Tiny::linear(3);
    let batch = masked(&student, 0.0, &flags()).to_device(tch::Device::Cpu).unwrap();
    for (m, flags) in flags().iter().enumerate() {
        assert_eq!(batch.present(m), Some(flags.as_slice()));
    }
    assert_eq!(student.batch(2, 0.0).present(0), None);
}

#[test]
fn schedulers_rank_the_present_modalities() {
    let student = Tiny::linear(3);
    let rho: SharedConfidence = Rc::new(RefCell::new(vec![0.1, 0.3, 0.2]));
    let builder = student.builder_with_fixed_confidence(&rho).scheduler(Sequential::new([10]));
    let mut trainer = builder.build(&student).unwrap();
    let incomplete = vec![vec![false; 3], vec![true; 3], vec![true, false, false]];
    let read = trainer.step(&student, &masked(&student, 0.0, &incomplete)).unwrap().read().unwrap();
    assert_eq!(read.confidence, [None, Some(0.3), Some(0.2)]);
    assert_eq!(read.kappa, [0.0, 0.0, 1.0]);
}
