//! Epochs, probes, evaluation, caches.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Batch, Student, Teacher, evaluate,
    loss::Classification,
    probe::{ConfidenceRatio, GradientNorm},
    schedule::{PerBatch, Sequential},
    step::Measurement,
    teacher::Cached,
    trainer::evaluate_teacher,
};
use tch::{Kind, Tensor};

use super::{masked, rows, subset};
use crate::support::{
    CLASSES, SharedConfidence, Tiny, WIDTH, assert_close, assert_number, assert_same, with_prefix, gradients, assert_error,
    values,
};

fn holes() -> Vec<Vec<bool>> {
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
fn epoch_means_are_over_the_samples_that_have_it() {
    let student = Tiny::linear(3);
    let probes = student.builder_with_teachers(Classification::default()).probe(ConfidenceRatio::default());
    let mut trainer = probes.probe(GradientNorm::default()).build(&student).unwrap();
    let second = vec![vec![true; 4], vec![false; 4], vec![true; 4]];
    let mut told = Vec::new();
    let mut norm = 0.0;
    for (seed, present) in [(0.0, holes()), (1.0, second)] {
        student.optimizer().zero_grad();
        let report = trainer.step(&student, &masked(&student, seed, &present)).unwrap();
        told.push((report.present.clone(), report.read().unwrap()));
        let squares = with_prefix(&gradients(&student.vs), "m1");
        let squares = squares.values().map(|g| g.square().sum(Kind::Double).double_value(&[]));
        norm += squares.sum::<f64>().sqrt();
    }
    assert_eq!([&told[0].0[..], &told[1].0], [[3, 2, 2], [4, 0, 4]]);
    let epoch = trainer.end_epoch().unwrap();
    assert_number(epoch.terms.total, (told[0].1.terms.total + told[1].1.terms.total) / 2.0);
    let mean = |m: usize, pick: &dyn Fn(&g2d::step::StepValues) -> Option<f64>| {
        let own = told.iter().filter_map(|(counts, v)| Some((counts[m] as f64, pick(v)?)));
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
    assert_eq!(told[1].1.confidence[1], None);
    assert_eq!(epoch.kappa, [1.0, 0.5, 1.0]);
    let ratio = (rho[1] / rho[0] + rho[1] / rho[2]) / 2.0;
    assert_number(value(&epoch.measurements, "confidence_ratio", 1).unwrap(), ratio);
    // The step that lacked m1 does not count.
    assert_number(value(&epoch.measurements, "gradient_norm", 1).unwrap(), norm);
}

#[test]
fn an_epoch_without_a_modality() {
    let student = Tiny::linear(3);
    let schedule = Sequential::new([9]).ranking(g2d::schedule::Ranking::PreviousEpoch);
    let probes = student.builder_with_teachers(Classification::default()).probe(ConfidenceRatio::default());
    let probes = probes.probe(GradientNorm::default()).scheduler(schedule);
    let mut trainer = probes.build(&student).unwrap();
    let lacking = vec![vec![true; 3], vec![false; 3], vec![true; 3]];
    trainer.step(&student, &masked(&student, 0.0, &lacking)).unwrap();
    let epoch = trainer.end_epoch().unwrap();
    assert_eq!([epoch.confidence[1], epoch.terms.feature[1], epoch.terms.logit[1]], [None; 3]);
    for metric in ["confidence", "confidence_ratio", "gradient_norm"] {
        assert_eq!(value(&epoch.measurements, metric, 1), None);
        assert!(value(&epoch.measurements, metric, 0).unwrap().is_finite());
    }
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    assert!(trainer.end_epoch().unwrap().confidence[1].is_some());
}

/// Answers recorded from batches with holes make the steps that live teachers make.
#[test]
fn cached_teachers_know_the_present_samples_alone() {
    let train = |cached: bool| {
        let student = Tiny::linear(3);
        let batches = || [masked(&student, 0.0, &holes())];
        let builder = (0..3).fold(student.builder(Classification::default()), |builder, m| {
            let (live, _vs) = student.teacher(m, WIDTH);
            if !cached {
                return builder.teacher(live);
            }
            let recorded = Cached::record(&live, m, batches().map(Ok)).unwrap();
            assert_eq!(recorded.len(), rows(&holes()[m]).len());
            builder.teacher(recorded)
        });
        let mut trainer = builder.scheduler(PerBatch::window(0..=9)).build(&student).unwrap();
        let mut optimizer = student.optimizer();
        let mut told = Vec::new();
        for batch in batches().iter().chain(&batches()) {
            optimizer.zero_grad();
            told.push(trainer.step(&student, batch).unwrap().read().unwrap());
            optimizer.step();
        }
        (told, values(&student.vs))
    };
    let ((live, live_values), (cached, cached_values)) = (train(false), train(true));
    assert_eq!(live, cached);
    assert_same(&live_values, &cached_values);

    // A sample whose row was missing is not known.
    let student = Tiny::linear(3);
    let (live, _vs) = student.teacher(1, WIDTH);
    let recorded = Cached::record(&live, 1, [Ok(masked(&student, 0.0, &holes()))]).unwrap();
    assert_error(recorded.output(1, &student.batch(4, 0.0)), &["2 unknown: 100, 103"]);
    let nobody = vec![vec![true; 2], vec![false; 2], vec![true; 2]];
    let found = Cached::record(&live, 1, [Ok(masked(&student, 0.0, &nobody))]);
    assert_error(found, &["samples that have its modality", "none"]);
    let whole = [Ok(masked(&student, 0.0, &nobody)), Ok(student.batch(2, 0.0))];
    assert_eq!(Cached::record(&live, 1, whole).unwrap().len(), 2);
}

#[test]
fn evaluation_leaves_out_what_is_missing() {
    let student = Tiny::conv(3);
    let lacking = vec![vec![true; 3], vec![false; 3], vec![false, true, true]];
    let batches = || [student.batch(2, 2.0), masked(&student, 0.0, &lacking)].map(Ok);
    let before = values(&student.vs);
    let seen = evaluate(&student, batches()).unwrap();
    assert_same(&values(&student.vs), &before);
    assert_eq!(seen.logits.size(), [5, CLASSES]);
    assert!(bool::try_from(seen.logits.isfinite().all()).unwrap());

    let [first, second] = batches().map(g2d::Result::unwrap);
    let part = subset(&second, &[1, 2]);
    let zeros = |rows| Tensor::zeros([rows, WIDTH], (Kind::Double, tch::Device::Cpu));
    let encode = |m, batch: &Batch| student.encode(m, batch, false).unwrap();
    let features = [encode(0, &second), zeros(3), Tensor::cat(&[zeros(1), encode(2, &part)], 0)];
    assert_close(&seen.logits.slice(0, 2, 5, 1), &student.fuse(&features, false).unwrap());

    let names: Vec<_> = seen.present.iter().map(|(m, _)| m.name()).collect();
    assert_eq!(names, ["m1", "m2"]);
    assert_eq!(seen.present[0].1, [true, true, false, false, false]);
    assert_eq!(seen.present[1].1, [true, true, false, true, true]);
    let right = |m: usize, rows: &[i64]| {
        let index = Tensor::from_slice(rows);
        let (said, y) =
            (seen.heads[m].1.index_select(0, &index), seen.targets.index_select(0, &index));
        said.argmax(1, false).eq_tensor(&y).mean(Kind::Double).double_value(&[])
    };
    let found: Vec<f64> = seen.head_accuracy().unwrap().into_iter().map(|(_, a)| a).collect();
    let expected = [right(0, &[0, 1, 2, 3, 4]), right(1, &[0, 1]), right(2, &[0, 1, 3, 4])];
    assert_eq!(found, expected);

    // A modality that nobody has is not judged.
    let seen = evaluate(&student, [Ok(masked(&student, 0.0, &lacking))]).unwrap();
    let names: Vec<_> = seen.head_accuracy().unwrap().into_iter().map(|(m, _)| m).collect();
    assert_eq!(names, ["m0".into(), "m2".into()]);

    let (teacher, _vs) = student.teacher(2, WIDTH);
    let found = evaluate_teacher(&teacher, 2, batches()).unwrap();
    let live = |batch: &Batch| teacher.output(2, batch).unwrap().logits;
    assert_close(&found.logits, &Tensor::cat(&[live(&first), live(&part)], 0));
    assert_eq!(Vec::<i64>::try_from(&found.targets).unwrap(), [0, 1, 1, 2]);
    let nobody = [Ok(masked(&student, 0.0, &lacking))];
    assert_error(evaluate_teacher(&teacher, 1, nobody).map(drop), &["evaluation", "none"]);
}

#[test]
fn masks_travel_with_the_batch() {
    let student = Tiny::linear(3);
    let batch = masked(&student, 0.0, &holes()).to_device(tch::Device::Cpu).unwrap();
    for (m, flags) in holes().iter().enumerate() {
        assert_eq!(batch.present(m), Some(flags.as_slice()));
    }
    assert_eq!(student.batch(2, 0.0).present(0), None);
}

/// ρ is read by those that are present; the missing one's does not stop the plan.
#[test]
fn schedules_read_the_present_teachers() {
    let student = Tiny::linear(3);
    let rho: Rho = Rc::new(RefCell::new(vec![0.1, 0.3, 0.2]));
    let builder = student.builder_with_fixed_confidence(&rho).scheduler(PerBatch::window(0..=9));
    let mut trainer = builder.build(&student).unwrap();
    let lacking = vec![vec![false; 3], vec![true; 3], vec![true, false, false]];
    let read = trainer.step(&student, &masked(&student, 0.0, &lacking)).unwrap().read().unwrap();
    assert_eq!(read.confidence, [None, Some(0.3), Some(0.2)]);
    assert_eq!(read.kappa, [0.0, 0.0, 1.0]);
}
