//! Steps and trainings of losses that read extras: sample weights and several tasks.

use g2d::{
    Batch,
    batch::Input,
    loss::{
        Classification, Distillation, HeadTarget, HeadTerm, MultiTask, Regression, Task,
        TaskTargets,
    },
    optim::SgdConfig,
    schedule::Sequential,
    trainer::UnimodalTrainer,
};
use tch::{Device, Kind, Tensor, nn, nn::Module};

use crate::support::{Tiny, assert_mismatch, assert_number, fill, labels, wave};

/// The first two logits are a class, the third is a value.
fn tasks(distillation: Distillation) -> MultiTask {
    let age = Regression { sample_weight: Some("known".into()), ..Regression::default() };
    MultiTask::new([
        Task::new("class", 2, Classification::default()),
        Task::new("age", 1, age).targets(TaskTargets::Extra("age".into())).weight(0.5),
    ])
    .distillation(distillation)
}

/// A batch in which the age of every third sample is not known.
fn batch(student: &Tiny, rows: i64, seed: f64) -> Batch {
    let batch = student.batch(rows, seed);
    let known = labels(rows).lt(2).to_kind(Kind::Float);
    Batch::new(batch.inputs(), labels(rows).remainder(2))
        .with_ids(batch.ids().unwrap())
        .with_extra("age", wave(seed + 0.3, &[rows]))
        .with_extra("known", known)
}

/// L_S of logits [B, 3], by hand.
fn expected(logits: &Tensor, batch: &Batch, rows: &[i64]) -> f64 {
    let age = batch.extra("age").unwrap();
    let (mut class, mut squares, mut known) = (0.0, 0.0, 0.0);
    for (at, &row) in (0..).zip(rows) {
        let l: Vec<f64> = Vec::try_from(logits.get(at)).unwrap();
        let y = (row % 3 % 2) as usize;
        class += (l[0].exp() + l[1].exp()).ln() - l[y];
        if row % 3 < 2 {
            squares += (l[2] - age.double_value(&[row])).powi(2);
            known += 1.0;
        }
    }
    class / rows.len() as f64 + 0.5 * squares / known
}

#[test]
fn a_step_trains_several_tasks_whose_targets_are_extras() {
    let student = Tiny::linear(2);
    let head = HeadTerm { target: HeadTarget::Labels, ..HeadTerm::default() };
    let loss = tasks(Distillation { head: Some(head), ..Distillation::default() });
    let builder = student.builder_with_teachers(loss).scheduler(Sequential::new([1]));
    let mut trainer = builder.build(&student).unwrap();
    let present = [true, false, true, true, false, true];
    let batch = batch(&student, 6, 0.0).with_present(1, present);
    let report = trainer.step(&student, &batch).unwrap();
    let terms = report.read().unwrap().terms;
    assert_number(terms.task, expected(&report.logits, &batch, &[0, 1, 2, 3, 4, 5]));
    assert!(terms.logit.iter().all(|term| term.is_some_and(|term| term > 0.0)));
    let found = trainer.evaluate(&student, [Ok(batch)]).unwrap();
    let losses = found.head_losses(&tasks(Distillation::default())).unwrap();
    for (term, (_, loss)) in terms.head.iter().zip(losses) {
        assert_number(term.unwrap(), loss);
    }
    let bare = student.batch(6, 0.0);
    let bare = Batch::new([0, 1].map(|m| bare.input(m).copy()), labels(6).remainder(2))
        .with_ids(bare.ids().unwrap());
    assert_mismatch(trainer.step(&student, &bare), &["\"age\"", "with_extra"]);
}

#[test]
fn a_teacher_learns_several_tasks() {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let encoder = nn::linear(vs.root() / "encoder", 5, 4, Default::default());
    let head = nn::linear(vs.root() / "head", 4, 3, Default::default());
    vs.set_kind(Kind::Double);
    fill(&vs, 0.0);
    let model = move |input: &Input, _train: bool| {
        let features = encoder.forward(input).tanh();
        let logits = head.forward(&features);
        (features, logits)
    };
    let student = Tiny::linear(2);
    let present = [true, false, true, true, false, true];
    let data = || vec![Ok(batch(&student, 6, 0.0).with_present(1, present))];
    let first = model(&batch(&student, 6, 0.0).inputs()[1], false).1;
    let rows = [0, 2, 3, 5];
    let logits = first.index_select(0, &Tensor::from_slice(&rows));
    let sgd = SgdConfig { lr: 0.1, ..SgdConfig::default() };
    let trained = UnimodalTrainer::new("m1", 1, tasks(Distillation::default()), sgd)
        .epochs(30)
        .train(&model, &vs, |_| data(), data)
        .unwrap();
    assert_number(trained.epochs[0].loss, expected(&logits, &batch(&student, 6, 0.0), &rows));
    assert!(trained.epochs[29].loss < 0.5 * trained.epochs[0].loss, "{trained:?}");
}
