//! Invalid configurations, which are errors of `build` with a hint.

use g2d::{
    Batch, Features, G2dLoss, G2dTrainer, Modality, ModalityParams, Result, SmpScheduler, Student,
    loss::{Classification, Distillation, Regression},
    schedule::{Partial, Ranking, Sequential},
    trainer::FeatureProjection,
};
use tch::{Device, Tensor, nn};

use crate::support::{FixedKappa, Tiny, WIDTH, assert_config_error, names};

/// A student with these modalities, which is never run.
struct Named(Vec<Modality>);

impl Student for Named {
    fn modalities(&self) -> &[Modality] {
        &self.0
    }

    fn encode(&self, _m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(batch.input(0).shallow_clone())
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        Ok(features[0].shallow_clone())
    }
}

fn build_named(names: &[&str]) -> Result<G2dTrainer> {
    let encoders = Tiny::linear(2).params();
    let student = Named(Modality::list(names));
    G2dTrainer::builder(Classification::default()).encoders(encoders).build(&student)
}

#[test]
fn a_student_needs_two_modalities_with_valid_distinct_names() {
    assert_config_error(build_named(&[]), &["modalities of the student", "at least 2", "[]"]);
    assert_config_error(build_named(&["m0"]), &["at least 2", "[\"m0\"]"]);
    for name in ["", "a b", "a.b", "ä", "a/b", "a,b"] {
        let found = format!("found {name:?}");
        let words = ["name of modality 1", "letters", &found, "rename"];
        assert_config_error(build_named(&["m0", name]), &words);
    }
    assert_config_error(build_named(&["m0", "m1", "m0"]), &["distinct", "\"m0\" twice"]);
    build_named(&["m0", "m1"]).unwrap();
}

#[test]
fn the_encoders_must_have_the_modalities_of_the_student_in_its_order() {
    let student = Tiny::linear(2);
    let missing = G2dTrainer::builder(Classification::default()).build(&student);
    assert_config_error(missing, &["encoders", "found none", "ModalityParams::by_prefix"]);
    let with = |prefixes: &[(&str, &str)]| {
        let params = ModalityParams::by_prefix(&student.vs, prefixes.iter().copied()).unwrap();
        G2dTrainer::builder(Classification::default()).encoders(params).build(&student)
    };
    let words = ["modalities of the encoders", "[\"m0\", \"m1\"]", "order"];
    for wrong in [
        &[("m1", "m1"), ("m0", "m0")][..],
        &[("m0", "m0")],
        &[],
        &[("m0", "m0"), ("other", "m1")],
        &[("m0", "m0"), ("m1", "m1"), ("m2", "head")],
    ] {
        assert_config_error(with(wrong), &words);
    }
    with(&[("m0", "m0"), ("m1", "m1")]).unwrap();
    with(&[("m0", "m0.a"), ("m1", "m1.b")]).unwrap();
}

#[test]
fn the_teachers_must_be_one_per_modality_in_order_or_none() {
    let student = Tiny::linear(3);
    let with = |teachers: &[usize]| {
        let add = |b: g2d::trainer::Builder, &m: &usize| b.teacher(student.teacher(m, WIDTH).0);
        teachers.iter().fold(student.builder(Classification::default()), add).build(&student)
    };
    let words = ["modalities of the teachers", "[\"m0\", \"m1\", \"m2\"]", "order"];
    for wrong in [&[0][..], &[0, 1], &[0, 2, 1], &[0, 1, 1], &[0, 1, 2, 2]] {
        assert_config_error(with(wrong), &words);
    }
    with(&[]).unwrap();
    with(&[0, 1, 2]).unwrap();
}

#[test]
fn hyper_parameters_of_the_loss_out_of_range_are_errors() {
    let student = Tiny::linear(2);
    let assert_invalid = |loss: Box<dyn G2dLoss>, words: &[&str]| {
        assert_config_error(student.builder_with_teachers(loss).build(&student), words);
    };
    let classification = |distillation| Box::new(Classification::new(distillation));
    let regression = |distillation| Box::new(Regression::new(distillation));
    let negative = Distillation { alpha: -1.0, ..Distillation::default() };
    assert_invalid(classification(negative.clone()), &["alpha", "-1"]);
    assert_invalid(regression(negative), &["alpha", "-1"]);
    let nan = Distillation { task_weight: f64::NAN, ..Distillation::default() };
    assert_invalid(regression(nan), &["task_weight", "NaN"]);
    let cold = Distillation { temperature: [1.0, 0.0].into(), ..Distillation::default() };
    assert_invalid(classification(cold), &["temperature", "> 0"]);
    let three = Distillation { logit_weight: [1.0; 3].into(), ..Distillation::default() };
    assert_invalid(classification(three), &["logit_weight", "2, one for each", "found 3"]);
}

#[test]
fn invalid_schedules_are_errors() {
    let student = Tiny::linear(2);
    let build = |scheduler: Box<dyn SmpScheduler>| {
        student
            .builder_with_teachers(Classification::default())
            .scheduler(scheduler)
            .build(&student)
    };
    let fixed = |order: &[&str]| Ranking::Fixed(Modality::list(order));
    assert_config_error(
        build(Box::new(Sequential::new([1, 1, 1]))),
        &["stages", "at most 2", "3", "drop"],
    );
    build(Box::new(Sequential::new([1, 1]))).unwrap();
    for alpha in [0.0, -0.5, f64::NAN, f64::INFINITY] {
        let found = format!("found {alpha}");
        assert_config_error(
            build(Box::new(Partial::new(alpha, 0..1))),
            &["alpha of Partial", &found, "Joint"],
        );
    }
    let partial = Partial::new(1.0, 0..1).ranking(fixed(&["m0", "m1"]));
    assert_config_error(
        build(Box::new(partial)),
        &["ranking of Partial", "PreviousEpoch", "Fixed"],
    );
    for wrong in [&["m0"][..], &["m0", "m0"], &["m0", "m2"], &["m0", "m1", "m1"], &[]] {
        let scheduler = Sequential::new([1]).ranking(fixed(wrong));
        let found = format!("{:?}", Modality::list(wrong));
        assert_config_error(
            build(Box::new(scheduler)),
            &["Ranking::Fixed", "[\"m0\", \"m1\"]", &found],
        );
    }
}

#[test]
fn a_ranking_by_confidence_without_teachers_is_an_error() {
    let student = Tiny::linear(2);
    let schedulers: [Box<dyn SmpScheduler>; 4] = [
        Box::new(Sequential::new([1])),
        Box::new(Sequential::new([1]).ranking(Ranking::PreviousEpoch)),
        Box::new(Sequential::new([1]).starting_at(1)),
        Box::new(Partial::new(0.5, 0..1)),
    ];
    for scheduler in schedulers {
        let builder = student.builder(Classification::default()).scheduler(scheduler);
        let words = ["scheduler", "teachers", "found none", "Ranking::Fixed"];
        assert_config_error(builder.build(&student), &words);
    }
    let fixed = Sequential::new([1]).ranking(Ranking::Fixed(names(2)));
    student.builder(Classification::default()).scheduler(fixed).build(&student).unwrap();
}

#[test]
fn a_projection_of_an_unknown_modality_or_an_invalid_width_is_an_error() {
    let vs = nn::VarStore::new(Device::Cpu);
    let new =
        |widths: &[(&str, i64, i64)]| FeatureProjection::new(&vs.root(), widths.iter().copied());
    assert_config_error(new(&[("m0", 2, 3), ("m0", 2, 3)]), &["\"m0\"", "one per modality"]);
    assert_config_error(new(&[("m1", 0, 3)]), &["\"m1\"", "at least 1", "0 → 3"]);
    assert_config_error(new(&[("m1", 3, -1)]), &["\"m1\"", "at least 1", "3 → -1"]);
    let student = Tiny::linear(2);
    let builder = student.builder_with_teachers(Classification::default());
    let built = builder.projection(new(&[("m7", 2, 3)]).unwrap()).build(&student);
    assert_config_error(built, &["feature projection", "[\"m0\", \"m1\"]", "\"m7\""]);
}

#[test]
fn a_plan_for_another_number_of_modalities_is_an_error() {
    let student = Tiny::linear(2);
    for kappa in [vec![], vec![1.0], vec![1.0; 3]] {
        let builder = student.builder(Classification::default());
        let n = kappa.len().to_string();
        let mut trainer = builder.scheduler(FixedKappa(kappa)).build(&student).unwrap();
        let words =
            ["plan of the scheduler", "2, one for each", &format!("found {n}"), "scheduler"];
        assert_config_error(trainer.step(&student, &student.batch(3, 0.0)), &words);
    }
}
