//! One step and one epoch: what is computed, what changes, what is told.

use std::panic::{AssertUnwindSafe, catch_unwind};

use g2d::{
    CachedTeacher, Classification, Distillation, FeatureProjection, G2dTrainer, Progress,
    Regression, Sequential, Student, evaluate, evaluate_teacher,
};
use tch::{Kind, Tensor};

use crate::support::{
    Bent, CLASSES, Kappa, Tiny, WIDTH, assert_number, assert_same, gradients, values, wave,
};

/// Without teachers, a step is what anyone would write with tch.
#[test]
fn a_joint_step_equals_one_written_by_hand() {
    let (ours, theirs) = (Tiny::conv(3), Tiny::conv(3));
    let mut trainer = ours.builder(Classification::default()).build(&ours).unwrap();
    let (mut a, mut b) = (ours.optimizer(), theirs.optimizer());
    for step in 0..3 {
        let batch = ours.batch(4, f64::from(step));
        a.zero_grad();
        let report = trainer.step(&ours, &batch).unwrap();
        a.step();

        b.zero_grad();
        let features: Vec<_> = (0..3).map(|m| theirs.encode(m, &batch, true).unwrap()).collect();
        let logits = theirs.fuse(&features, true).unwrap();
        let loss = logits.log_softmax(-1, None::<Kind>).nll_loss(batch.targets());
        loss.backward();
        assert_same(&gradients(&ours.vs), &gradients(&theirs.vs));
        b.step();

        assert_eq!(report.terms.total.double_value(&[]), loss.double_value(&[]));
        assert!(report.logits.equal(&logits) && !report.logits.requires_grad());
        assert_eq!(report.batch_size, 4);
        assert!(report.plan.is_joint() && report.confidence.iter().all(Option::is_none));
        assert_same(&values(&ours.vs), &values(&theirs.vs));
    }
}

#[test]
fn teachers_never_change() {
    let student = Tiny::linear(2);
    let (a, vs_a) = student.teacher(0, WIDTH);
    let (b, vs_b) = student.teacher(1, WIDTH);
    let before = [values(&vs_a), values(&vs_b)];
    let builder = student.builder(Classification::default()).teacher(a).teacher(b);
    let mut trainer = builder.scheduler(Sequential::stages([1])).build(&student).unwrap();
    let mut optimizer = student.optimizer();
    for _epoch in 0..2 {
        for step in 0..3 {
            optimizer.zero_grad();
            trainer.step(&student, &student.batch(4, f64::from(step))).unwrap();
            optimizer.step();
        }
        trainer.end_epoch().unwrap();
    }
    for (vs, before) in [vs_a, vs_b].iter().zip(&before) {
        assert_same(&values(vs), before);
        assert!(gradients(vs).is_empty());
    }
}

/// Two epochs, one of a stage and one joint: cached answers make the very same steps as live ones.
#[test]
fn cached_teachers_give_the_same_steps() {
    let train = |cached: bool| {
        let student = Tiny::linear(2);
        let builder = (0..2).fold(student.builder(Classification::default()), |builder, m| {
            let (live, _vs) = student.teacher(m, WIDTH);
            match cached {
                false => builder.teacher(live),
                true => {
                    let all = [Ok(student.batch(6, 0.0))];
                    builder.teacher(CachedTeacher::record(&live, m, all).unwrap())
                }
            }
        });
        let scheduler = Sequential::stages([1]);
        let mut trainer = builder.scheduler(scheduler).build(&student).unwrap();
        let mut optimizer = student.optimizer();
        let mut told = Vec::new();
        for _epoch in 0..2 {
            for _step in 0..3 {
                optimizer.zero_grad();
                let report = trainer.step(&student, &student.batch(6, 0.0)).unwrap();
                told.push(report.read().unwrap());
                optimizer.step();
            }
            trainer.end_epoch().unwrap();
        }
        (told, values(&student.vs))
    };
    let ((live, live_values), (cached, cached_values)) = (train(false), train(true));
    assert_eq!(live, cached);
    assert_same(&live_values, &cached_values);
}

#[test]
fn a_projection_bridges_widths_and_learns() {
    let student = Tiny::of_widths(&[WIDTH, 2], Kind::Double);
    // m1's teacher is wider than its student: 7 against 2.
    let widths = [("m1", 2, 7)];
    let mut vs = tch::nn::VarStore::new(tch::Device::Cpu);
    let projection = FeatureProjection::new(&(vs.root() / "projection"), widths).unwrap();
    vs.double();
    let builder = student.builder(Classification::default()).projection(projection);
    let builder = builder.teacher(student.teacher(0, WIDTH).0).teacher(student.teacher(1, 7).0);
    let mut trainer = builder.scheduler(Kappa(vec![1.0, 0.0])).build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    let report = trainer.step(&student, &batch).unwrap();

    let mapped = student
        .encode(1, &batch, true)
        .unwrap()
        .matmul(&vs.variables()["projection.m1.weight"].tr())
        + &vs.variables()["projection.m1.bias"];
    let teacher = g2d::Teacher::output(&student.teacher(1, 7).0, 1, &batch).unwrap();
    let by_hand = (mapped - teacher.features).square().mean(None).double_value(&[]);
    assert_number(report.read().unwrap().feature[1].unwrap(), by_hand);

    let found = gradients(&vs);
    assert!(found.keys().eq(["projection.m1.bias", "projection.m1.weight"]), "{:?}", found.keys());
    assert!(found.values().all(|g| g.abs().max().double_value(&[]) > 0.0));
}

#[test]
fn regression_trains_too() {
    let student = Tiny::linear(3);
    let mut trainer = student
        .taught(Regression::default())
        .scheduler(Sequential::stages([1, 1]))
        .build(&student)
        .unwrap();
    let batch = student.batch(6, 0.0);
    let values = wave(0.3, &[6, CLASSES]);
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
    let batch = g2d::Batch::new(inputs, values);
    let mut optimizer = student.optimizer();
    let losses: Vec<f64> = (0..20)
        .map(|_| {
            optimizer.zero_grad();
            let report = trainer.step(&student, &batch).unwrap();
            optimizer.step();
            report.read().unwrap().total
        })
        .collect();
    assert!(losses[19] < losses[0], "{losses:?}");
}

#[test]
fn reports_and_epoch_means_by_hand() {
    let student = Tiny::linear(2);
    let loss =
        Classification::new(Distillation { alpha: 0.5, beta: 0.0, ..Distillation::default() });
    let mut trainer =
        student.taught(loss).scheduler(Kappa(vec![0.25, 1.0])).build(&student).unwrap();
    let mut told = Vec::new();
    let at = |epoch, step, total_steps| Progress { epoch, step, total_steps };
    for (step, rows) in [2, 6].into_iter().enumerate() {
        assert_eq!(trainer.progress(), at(0, step as u64, step as u64));
        let report = trainer.step(&student, &student.batch(rows, rows as f64)).unwrap();
        let read = report.read().unwrap();
        assert_eq!(read.at, at(0, step as u64, step as u64));
        assert_eq!((report.at, report.batch_size), (read.at, rows));
        assert_eq!(read.kappa, [0.25, 1.0]);
        assert_eq!(read.total, report.terms.total.double_value(&[]));
        assert_eq!(read.task, report.terms.task.double_value(&[]));
        for m in 0..2 {
            let term = report.terms.feature[m].as_ref().unwrap();
            assert_eq!(read.feature[m], Some(term.double_value(&[])));
            let rho = report.confidence[m].as_ref().unwrap().double_value(&[]);
            assert_eq!(read.confidence[m], Some(rho));
        }
        assert_eq!(read.logit, [None, None]);
        let weighted = 0.5 * (read.feature[0].unwrap() + read.feature[1].unwrap());
        assert_number(read.total, read.task + weighted);
        told.push(read);
    }
    let epoch = trainer.end_epoch().unwrap();
    let mean = |a: f64, b: f64| (2.0 * a + 6.0 * b) / 8.0; // 2 and 6 samples
    assert_eq!((epoch.epoch, epoch.steps), (0, 2));
    assert_number(epoch.total, mean(told[0].total, told[1].total));
    assert_number(epoch.task, mean(told[0].task, told[1].task));
    for m in 0..2 {
        let feature = mean(told[0].feature[m].unwrap(), told[1].feature[m].unwrap());
        assert_number(epoch.feature[m].unwrap(), feature);
        let rho = mean(told[0].confidence[m].unwrap(), told[1].confidence[m].unwrap());
        assert_number(epoch.confidence[m].unwrap(), rho);
    }
    assert_eq!(epoch.logit, [None, None]);
    assert_eq!(epoch.kappa, [0.25, 1.0]);
    assert_eq!(epoch.modalities, student.modalities());

    assert_eq!(trainer.progress(), at(1, 0, 2));
    let alone = trainer.step(&student, &student.batch(3, 0.0)).unwrap().read().unwrap();
    let epoch = trainer.end_epoch().unwrap();
    assert_eq!((epoch.epoch, epoch.steps), (1, 1));
    assert_number(epoch.total, alone.total); // nothing of the first epoch is left in it
    assert_eq!(trainer.progress(), at(2, 0, 3));
}

/// Gradients are on again after a student panicked outside the graph, and the next step works.
#[test]
fn a_panicking_student_leaves_gradient_mode_as_it_was() {
    let student = Tiny::linear(2);
    let build = |kappa: [f64; 2]| -> G2dTrainer {
        let builder = student.taught(Classification::default());
        builder.scheduler(Kappa(kappa.to_vec())).build(&student).unwrap()
    };
    for kappa in [[0.0, 1.0], [1.0, 1.0]] {
        let mut trainer = build(kappa);
        let panics = Bent::encode(&student, |_, _| panic!("a layer fed the wrong shape"));
        let step = || trainer.step(&panics, &student.batch(4, 0.0)).map(drop);
        assert!(catch_unwind(AssertUnwindSafe(step)).is_err());
        let weight = wave(0.0, &[2]).set_requires_grad(true);
        assert!((weight * 2.0).requires_grad(), "gradients stayed off");
        assert_eq!(trainer.progress(), Progress::default());
        assert!(gradients(&student.vs).is_empty());
        trainer.step(&student, &student.batch(4, 0.0)).unwrap();
        student.optimizer().zero_grad();
    }
}

#[test]
fn evaluation_changes_nothing_and_joins_batches() {
    let student = Tiny::conv(2);
    let before = values(&student.vs);
    let batches = || [Ok(student.batch(4, 0.0)), Ok(student.batch(3, 1.0))];
    let seen = evaluate(&student, batches()).unwrap();
    assert_same(&before, &values(&student.vs));
    assert!(gradients(&student.vs).is_empty() && !seen.logits.requires_grad());
    assert_eq!(seen.logits.size(), [7, CLASSES]);
    assert_eq!(Vec::<i64>::try_from(&seen.targets).unwrap(), [0, 1, 2, 0, 0, 1, 2]);

    let [first, _] = batches().map(Result::unwrap);
    let features: Vec<_> = (0..2).map(|m| student.encode(m, &first, false).unwrap()).collect();
    let logits = student.fuse(&features, false).unwrap();
    assert!(seen.logits.slice(0, 0, 4, 1).equal(&logits));
    for (m, (modality, head)) in seen.heads.iter().enumerate() {
        assert_eq!(modality.name(), format!("m{m}"));
        let expected = student.unimodal_logits(m, &features).unwrap();
        assert!(head.slice(0, 0, 4, 1).equal(&expected));
    }
    let right = seen.logits.argmax(1, false).eq_tensor(&seen.targets).sum(Kind::Double);
    assert_number(seen.accuracy().unwrap(), right.double_value(&[]) / 7.0);
    assert_eq!(seen.head_accuracy().unwrap().len(), 2);

    let (teacher, _vs) = student.teacher(1, WIDTH);
    let seen = evaluate_teacher(&teacher, 1, batches()).unwrap();
    assert_eq!((seen.logits.size(), seen.heads.len()), (vec![7, CLASSES], 0));
    // A student without heads reports none.
    assert!(evaluate(&Bent::fuse(&student, |x| x), batches()).unwrap().heads.is_empty());
}
