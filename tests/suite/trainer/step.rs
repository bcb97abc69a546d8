//! The results of a step.

use g2d::{
    Student,
    loss::{Classification, Regression},
    schedule::Sequential,
    trainer::FeatureProjection,
};
use tch::Kind;

use crate::support::{
    CLASSES, FixedKappa, Tiny, WIDTH, assert_number, assert_same, fuse, gradients, values, wave,
    with_targets,
};

/// Without teachers.
#[test]
fn a_joint_step_equals_one_written_in_plain_tch() {
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
        let logits = fuse(&theirs, &features, &batch, true);
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

/// In an epoch of a stage and a joint one.
#[test]
fn cached_teachers_make_the_same_steps_as_live_ones() {
    let train = |cached: bool| {
        let student = Tiny::linear(2);
        let batch = || student.batch(6, 0.0);
        let loss = Classification::default();
        let builder = match cached {
            false => student.builder_with_teachers(loss),
            true => student.builder_with_cached_teachers(loss, || vec![batch()]),
        };
        let mut trainer = builder.scheduler(Sequential::new([1])).build(&student).unwrap();
        let mut optimizer = student.optimizer();
        let mut steps = Vec::new();
        for _epoch in 0..2 {
            let batches = (0..3).map(|_| batch());
            steps.extend(student.train(&mut trainer, &mut optimizer, batches));
            trainer.end_epoch().unwrap();
        }
        (steps, values(&student.vs))
    };
    let ((live, live_values), (cached, cached_values)) = (train(false), train(true));
    assert_eq!(live, cached);
    assert_same(&live_values, &cached_values);
}

#[test]
fn a_projection_maps_features_to_the_width_of_the_teacher_and_learns() {
    let student = Tiny::with_widths(&[WIDTH, 2], Kind::Double);
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
    let expected = (mapped - teacher.features).square().mean(None).double_value(&[]);
    assert_number(report.read().unwrap().terms.feature[1].unwrap(), expected);

    let found = gradients(&vs);
    assert!(found.keys().eq(["projection.m1.bias", "projection.m1.weight"]), "{:?}", found.keys());
    assert!(found.values().all(|g| g.abs().max().double_value(&[]) > 0.0));
}

#[test]
fn the_loss_of_a_regression_falls() {
    let student = Tiny::linear(3);
    let mut trainer = student
        .builder_with_teachers(Regression::default())
        .scheduler(Sequential::new([1, 1]))
        .build(&student)
        .unwrap();
    let batch = || with_targets(&student.batch(6, 0.0), wave(0.3, &[6, CLASSES]));
    let batches = (0..20).map(|_| batch());
    let steps = student.train(&mut trainer, &mut student.optimizer(), batches);
    assert!(steps[19].terms.total < steps[0].terms.total, "{steps:?}");
}
