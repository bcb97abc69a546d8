//! Several tasks, and a closure as task term.

use g2d::{
    G2dLoss, TeacherOutput,
    batch::{Extras, Rows},
    loss::{
        self, Classification, Distillation, EnsembleTerm, HeadTarget, HeadTerm, Labels, MultiTask,
        Penalty, Regression, Task, TaskTargets,
    },
};
use tch::{Kind, Reduction, Tensor};

use super::task_terms::{assert_task, task_of};
use crate::support::{assert_error, assert_number, names, wave};

/// Two columns of classes, one of values, one of labels.
fn tasks() -> MultiTask {
    let classes = Classification {
        class_weight: Some(vec![1.0, 2.5]),
        ignore_index: Some(-7),
        ..Classification::default()
    };
    let values = Regression { penalty: Penalty::Absolute, ..Regression::default() };
    let labels = Classification::multi_label(Distillation::default());
    MultiTask::new([
        Task::new("kind", 2, classes).weight(0.5),
        Task::new("size", 1, values).weight(2.0).targets(TaskTargets::Extra("size".into())),
        Task::new("flag", 1, labels).targets(TaskTargets::Extra("flag".into())),
    ])
}

/// The batch's targets and its extras.
fn targets() -> (Tensor, Extras) {
    let mut extras = Extras::default();
    extras.insert("size", wave(0.8, &[5, 4]).select(1, 1));
    extras.insert("flag", wave(0.4, &[5, 4]).narrow(1, 0, 1).gt(0.0).to_kind(Kind::Double));
    (Tensor::from_slice(&[1_i64, 0, -7, 1, 0]), extras)
}

#[test]
fn the_loss_of_several_tasks_agrees_with_pytorch() {
    let (y, extras) = targets();
    // With the names of task_terms.rs, and a = torch.tensor([1, 0, -7, 1, 0]):
    // show(lambda l: 0.5 * CE(l[:, :2], a, ignore_index=-7, weight=cw[:2])
    //      + 2 * F.l1_loss(l[:, 2], R[:, 1]) + BCE(l[:, 3:], Y[:, :1]))
    assert_task(&tasks(), &y, &extras, [2.7991165964711016, 0.10736997297964088]);
}

#[test]
fn teachers_and_heads_of_several_tasks_are_compared_by_columns() {
    let (y, extras) = targets();
    let head = HeadTerm { temperature: 2.0.into(), ..HeadTerm::default() };
    let distillation =
        Distillation { temperature: 2.0.into(), head: Some(head), ..Default::default() };
    let terms = |loss: &dyn G2dLoss| {
        let (student, teacher) = (wave(0.1, &[5, 4]) * 2.0, wave(1.1, &[5, 4]));
        let rows = [Rows::Part(Tensor::from_slice(&[0_i64, 2, 4])), Rows::All];
        let features = [wave(0.2, &[5, 3]), wave(0.3, &[5, 3])];
        let output = |rows: &Rows| TeacherOutput {
            features: rows.select(&features[0]).unwrap(),
            logits: rows.select(&teacher).unwrap(),
            host: None,
        };
        let terms = loss.terms(&loss::Input {
            modalities: &names(2),
            logits: &student,
            features: &features,
            teachers: &[Some(output(&rows[0])), Some(output(&rows[1]))],
            unimodal: &[Some(student.shallow_clone()), Some(student.shallow_clone())],
            rows: &rows,
            targets: &y,
            extras: &extras,
        });
        terms.unwrap()
    };
    let number = |term: &Option<Tensor>| term.as_ref().unwrap().double_value(&[]);
    let found = terms(&tasks().distillation(distillation.clone()));
    // kl = lambda t, s: 4 * F.kl_div(F.log_softmax(s/2, 1), F.log_softmax(t/2, 1), log_target=True,
    //                                reduction="batchmean")
    // B, KL = lambda x: torch.distributions.Bernoulli(logits=x / 2), torch.distributions.kl_divergence
    // t, s = w(1.1, 5, 4), 2 * w(0.1, 5, 4)
    // 0.5 * kl(t[:, :2], s[:, :2]) + 2 * F.l1_loss(s[:, 2], t[:, 2])
    //     + 4 * KL(B(t[:, 3:]), B(s[:, 3:])).sum(1).mean()
    assert_number(number(&found.logit[1]), 2.668570412064228);
    assert_number(number(&found.head[1]), 2.668570412064228);
    // Heads that learn the labels of their rows, which the extras share.
    let head = HeadTerm { target: HeadTarget::Labels, ..HeadTerm::default() };
    let labelled = Distillation { head: Some(head), ..distillation };
    let found = terms(&tasks().distillation(labelled));
    assert_number(number(&found.head[1]), found.task.double_value(&[]));
    let rows = Rows::Part(Tensor::from_slice(&[0_i64, 2, 4]));
    let (part, some) = (rows.select(&y).unwrap(), extras.select(&rows).unwrap());
    let logits = rows.select(&(wave(0.1, &[5, 4]) * 2.0)).unwrap();
    let expected = task_of(&tasks(), &logits, &part, &some).unwrap().double_value(&[]);
    assert_number(number(&found.head[0]), expected);
}

#[test]
fn rho_is_the_mean_over_the_tasks_whose_targets_are_the_batch_s() {
    let logits = wave(1.1, &[5, 4]);
    let y = targets().0;
    // p = torch.softmax(t[:, :2], 1)[range(5), a.clamp(min=0)][a != -7].mean()
    let found = tasks().confidence(&logits, &y).unwrap().double_value(&[]);
    assert_number(found, 0.4650877753686089);
    let columns = MultiTask::new([
        Task::new("a", 1, Regression::default()).targets(TaskTargets::Columns(1, 2)),
        Task::new("b", 3, Regression::default()).targets(TaskTargets::Columns(2, 5)).weight(9.0),
    ]);
    let y = wave(0.6, &[5, 5]);
    let one = |first, width, column| {
        let (l, y) = (logits.narrow(1, first, width), y.narrow(1, column, width));
        Regression::default().confidence(&l, &y).unwrap().double_value(&[])
    };
    let found = columns.confidence(&logits, &y).unwrap().double_value(&[]);
    assert_number(found, (one(0, 1, 1) + one(1, 3, 2)) / 2.0);
    let part = columns.output("b", &logits).unwrap();
    assert!(part.equal(&logits.narrow(1, 1, 3)));
}

#[test]
fn class_labels_are_a_column_of_the_batch_s_targets() {
    let both = MultiTask::new([
        Task::new("a", 2, Classification::default()).targets(TaskTargets::Columns(0, 1)),
        Task::new("b", 2, Classification::default()).targets(TaskTargets::Columns(1, 2)),
    ]);
    let y = Tensor::from_slice2(&[[0_i64, 1], [1, 1], [0, 0], [1, 0], [1, 1]]);
    let logits = wave(0.1, &[5, 4]);
    let found = task_of(&both, &logits, &y, &Extras::default()).unwrap().double_value(&[]);
    let each = [0, 1].map(|t| {
        let log_p = logits.narrow(1, 2 * t, 2).log_softmax(1, Kind::Double);
        -log_p.gather(1, &y.narrow(1, t, 1), false).mean(None).double_value(&[])
    });
    assert_number(found, each[0] + each[1]);
}

#[test]
fn invalid_tasks_and_their_targets_are_errors_that_name_the_task() {
    let modalities = names(2);
    let check = |loss: MultiTask| loss.check(&modalities);
    let extra = || TaskTargets::Extra("x".into());
    let values = |name: &str| Task::new(name, 1, Regression::default());
    assert_error(check(MultiTask::new([])), &["tasks", "at least one"]);
    assert_error(check(MultiTask::new([values("a"), values("a")])), &["\"a\" twice"]);
    assert_error(check(MultiTask::new([values("a").targets(extra())])), &["extras alone", "ρ"]);
    assert_error(
        check(MultiTask::new([values("a").weight(-1.0)])),
        &["task \"a\"", "weight", "-1"],
    );
    let wide = Task::new("a", 0, Regression::default());
    assert_error(check(MultiTask::new([wide])), &["width of task \"a\"", "0"]);
    let columns = values("a").targets(TaskTargets::Columns(2, 2));
    assert_error(check(MultiTask::new([columns])), &["columns", "2..2"]);
    let own = Task::new("a", 1, Regression::new(Distillation::none()));
    assert_error(
        check(MultiTask::new([own])),
        &["distillation of task", "MultiTask::distillation"],
    );
    let smooth = Classification { label_smoothing: 2.0, ..Classification::default() };
    assert_error(
        check(MultiTask::new([Task::new("a", 2, smooth)])),
        &["label_smoothing of task \"a\""],
    );
    let ensemble =
        Distillation { ensemble: Some(EnsembleTerm::default()), ..Distillation::default() };
    let found = check(MultiTask::new([values("a")]).distillation(ensemble));
    assert_error(found, &["ensemble", "regression \"a\""]);

    let (y, extras) = targets();
    let loss = tasks();
    assert_error(loss.check_targets(&[5, 3], &y), &["[B, 4]", "[5, 3]"]);
    assert_error(loss.check_targets(&[5, 4], &(&y + 1)), &["targets of task \"kind\"", "0..2"]);
    let found = task_of(&loss, &wave(0.1, &[5, 4]), &y, &Extras::default());
    assert_error(found, &["\"size\"", "with_extra"]);
    let mut flat = extras;
    flat.insert("flag", wave(0.4, &[5]));
    let found = task_of(&loss, &wave(0.1, &[5, 4]), &y, &flat);
    assert_error(found, &["targets of task \"flag\"", "[5, 1]"]);
    assert_error(loss.output("age", &wave(0.0, &[2, 4])), &["\"size\"", "\"age\""]);
}

#[test]
fn tasks_are_read_from_a_file_and_written() {
    let text = r#"
        [distillation]
        beta = 0.0
        [[tasks]]
        name = "kind"
        width = 2
        loss = { classification = { label_smoothing = 0.1 } }
        [[tasks]]
        name = "size"
        width = 1
        weight = 0.5
        targets = { extra = "size" }
        loss = { regression = { penalty = { huber = 1.0 } } }
        [[tasks]]
        name = "place"
        width = 2
        targets = { columns = [1, 3] }
        loss = { regression = {} }
    "#;
    let found: MultiTask = toml::from_str(text).unwrap();
    let smooth = Classification { label_smoothing: 0.1, ..Classification::default() };
    let huber = Regression { penalty: Penalty::Huber(1.0), ..Regression::default() };
    let expected = MultiTask::new([
        Task::new("kind", 2, smooth),
        Task::new("size", 1, huber).weight(0.5).targets(TaskTargets::Extra("size".into())),
        Task::new("place", 2, Regression::default()).targets(TaskTargets::Columns(1, 3)),
    ])
    .distillation(Distillation::features_only());
    assert_eq!(found, expected);
    let written: MultiTask = toml::from_str(&toml::to_string(&found).unwrap()).unwrap();
    assert_eq!(written, expected);
    let misspelt = toml::from_str::<MultiTask>(&text.replace("weight", "wieght"));
    assert!(misspelt.unwrap_err().to_string().contains("wieght"));
}

#[test]
fn a_closure_is_the_task_term_beside_the_other_terms() {
    let y = Tensor::from_slice(&[2_i64, 0, 1]);
    let head = HeadTerm { target: HeadTarget::Labels, ..HeadTerm::default() };
    let distillation = Distillation { task_weight: 3.0, head: Some(head), ..Default::default() };
    let base = Classification::new(distillation);
    let loss = base.clone().with_task(|task| {
        let weights = task.extra("w")?;
        let each = task.logits.f_log_softmax(1, None)?.f_nll_loss(
            task.targets,
            None::<Tensor>,
            Reduction::None,
            -100,
        )?;
        Ok(each.f_dot(weights)?)
    });
    loss.check(&names(1)).unwrap();
    assert_eq!(loss.labels(), Some(Labels::Single));
    let mut extras = Extras::default();
    extras.insert("w", Tensor::from_slice(&[1.0, 2.0, 4.0]));
    let logits = wave(0.1, &[3, 3]);
    let terms = |loss: &dyn G2dLoss| {
        let features = [wave(0.2, &[3, 2])];
        let output =
            TeacherOutput { features: wave(0.3, &[3, 2]), logits: wave(0.4, &[3, 3]), host: None };
        let input = loss::Input {
            modalities: &names(1),
            logits: &logits,
            features: &features,
            teachers: &[Some(output)],
            unimodal: &[Some(wave(0.5, &[3, 3]))],
            rows: &Rows::all(1),
            targets: &y,
            extras: &extras,
        };
        loss.terms(&input).unwrap()
    };
    let (found, plain) = (terms(&loss), terms(&base));
    let number = |term: &Option<Tensor>| term.as_ref().unwrap().double_value(&[]);
    let own = |logits: &Tensor| {
        let each = -logits.log_softmax(1, Kind::Double).gather(1, &y.unsqueeze(1), false).view(-1);
        each.dot(&Tensor::from_slice(&[1.0, 2.0, 4.0])).double_value(&[])
    };
    assert_number(found.task.double_value(&[]), own(&logits));
    assert_number(number(&found.head[0]), own(&wave(0.5, &[3, 3])));
    assert_eq!(number(&found.feature[0]), number(&plain.feature[0]));
    assert_eq!(number(&found.logit[0]), number(&plain.logit[0]));
    let parts = number(&found.feature[0]) + number(&found.logit[0]) + number(&found.head[0]);
    assert_number(found.total.double_value(&[]), 3.0 * own(&logits) + parts);

    assert_error(loss.check_targets(&[3, 3], &wave(0.0, &[3])), &["Int64"]);
    let free = loss.with_check(|_, _| Ok(()));
    free.check_targets(&[3, 3], &wave(0.0, &[3])).unwrap();
    assert_eq!(free.labels(), None);
}
