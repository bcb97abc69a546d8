//! One step: what is computed, and what changes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use g2d::{
    G2dTrainer, Student,
    loss::{Classification, Regression},
    schedule::{Progress, Sequential},
    teacher::Cached,
    trainer::FeatureProjection,
};
use tch::{Kind, Tensor};

use crate::support::{
    ModifiedStudent, CLASSES, FixedKappa, Tiny, WIDTH, assert_number, assert_same, gradients, values, wave,
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
    let mut trainer = builder.scheduler(Sequential::new([1])).build(&student).unwrap();
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
                    builder.teacher(Cached::record(&live, m, all).unwrap())
                }
            }
        });
        let scheduler = Sequential::new([1]);
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
    let student = Tiny::with_widths(&[WIDTH, 2], Kind::Double);
    // m1's teacher is wider than its student: 7 against 2.
    let widths = [("m1", 2, 7)];
    let mut vs = tch::nn::VarStore::new(tch::Device::Cpu);
    let projection = FeatureProjection::new(&(vs.root() / "projection"), widths).unwrap();
    vs.double();
    let builder = student.builder(Classification::default()).projection(projection);
    let builder = builder.teacher(student.teacher(0, WIDTH).0).teacher(student.teacher(1, 7).0);
    let mut trainer = builder.scheduler(FixedKappa(vec![1.0, 0.0])).build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    let report = trainer.step(&student, &batch).unwrap();

    let mapped = student
        .encode(1, &batch, true)
        .unwrap()
        .matmul(&vs.variables()["projection.m1.weight"].tr())
        + &vs.variables()["projection.m1.bias"];
    let teacher = g2d::Teacher::output(&student.teacher(1, 7).0, 1, &batch).unwrap();
    let by_hand = (mapped - teacher.features).square().mean(None).double_value(&[]);
    assert_number(report.read().unwrap().terms.feature[1].unwrap(), by_hand);

    let found = gradients(&vs);
    assert!(found.keys().eq(["projection.m1.bias", "projection.m1.weight"]), "{:?}", found.keys());
    assert!(found.values().all(|g| g.abs().max().double_value(&[]) > 0.0));
}

#[test]
fn regression_trains_too() {
    let student = Tiny::linear(3);
    let mut trainer = student
        .builder_with_teachers(Regression::default())
        .scheduler(Sequential::new([1, 1]))
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
            report.read().unwrap().terms.total
        })
        .collect();
    assert!(losses[19] < losses[0], "{losses:?}");
}

/// Gradients are on again after a student panicked outside the graph, and the next step works.
#[test]
fn a_panicking_student_leaves_gradient_mode_as_it_was() {
    let student = Tiny::linear(2);
    let build = |kappa: [f64; 2]| -> G2dTrainer {
        let builder = student.builder_with_teachers(Classification::default());
        builder.scheduler(FixedKappa(kappa.to_vec())).build(&student).unwrap()
    };
    for kappa in [[0.0, 1.0], [1.0, 1.0]] {
        let mut trainer = build(kappa);
        let panics = ModifiedStudent::with_features(&student, |_, _| panic!("a layer fed the wrong shape"));
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
