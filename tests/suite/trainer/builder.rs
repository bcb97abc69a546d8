//! Every mistake of configuration: found at build, named, with the mend.

use g2d::{
    Batch, G2dTrainer, Modality, ModalityParams, Result, SmpScheduler, Student,
    loss::{Classification, Distillation, Regression},
    schedule::{Partial, PerBatch, Ranking, Sequential},
    trainer::FeatureProjection,
};
use tch::{Device, Tensor, nn};

use crate::support::{Kappa, Tiny, WIDTH, config, names};

/// A student of which only the names matter.
struct Named(Vec<Modality>);

impl Student for Named {
    fn modalities(&self) -> &[Modality] {
        &self.0
    }

    fn encode(&self, _m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(batch.input(0).shallow_clone())
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(features[0].shallow_clone())
    }
}

fn build_named(names: &[&str]) -> Result<G2dTrainer> {
    let encoders = Tiny::linear(2).params();
    let student = Named(Modality::list(names));
    G2dTrainer::builder(Classification::default()).encoders(encoders).build(&student)
}

#[test]
fn modalities_are_at_least_two_with_legal_distinct_names() {
    config(build_named(&[]), &["modalities of the student", "at least 2", "[]"]);
    config(build_named(&["m0"]), &["at least 2", "[\"m0\"]"]);
    for illegal in ["", "a b", "a.b", "ä", "a/b", "a,b"] {
        let found = format!("found {illegal:?}");
        config(build_named(&["m0", illegal]), &["name of modality 1", "letters", &found, "rename"]);
    }
    config(build_named(&["m0", "m1", "m0"]), &["distinct", "\"m0\" twice"]);
    build_named(&["m0", "m1"]).unwrap();
}

#[test]
fn encoders_are_the_students_in_its_order() {
    let student = Tiny::linear(2);
    let missing = G2dTrainer::builder(Classification::default()).build(&student);
    config(missing, &["encoders", "found none", "ModalityParams::by_prefix"]);
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
        config(with(wrong), &words);
    }
    with(&[("m0", "m0"), ("m1", "m1")]).unwrap();
    with(&[("m0", "m0.a"), ("m1", "m1.b")]).unwrap();
}

#[test]
fn teachers_are_one_a_modality_in_order_or_none() {
    let student = Tiny::linear(3);
    let with = |teachers: &[usize]| {
        let add = |b: g2d::trainer::Builder, &m: &usize| b.teacher(student.teacher(m, WIDTH).0);
        teachers.iter().fold(student.builder(Classification::default()), add).build(&student)
    };
    let words = ["modalities of the teachers", "[\"m0\", \"m1\", \"m2\"]", "order"];
    for wrong in [&[0][..], &[0, 1], &[0, 2, 1], &[0, 1, 1], &[0, 1, 2, 2]] {
        config(with(wrong), &words);
    }
    with(&[]).unwrap();
    with(&[0, 1, 2]).unwrap();
}

#[test]
fn numbers_of_the_loss_are_checked_at_build() {
    let student = Tiny::linear(2);
    let bad = Distillation { alpha: -1.0, ..Distillation::default() };
    config(student.taught(Classification::new(bad.clone())).build(&student), &["alpha", "-1"]);
    config(student.taught(Regression::new(bad)).build(&student), &["alpha", "-1"]);
    let bad = Distillation { task_weight: f64::NAN, ..Distillation::default() };
    config(student.taught(Regression::new(bad)).build(&student), &["task_weight", "NaN"]);
    let cold = Distillation { temperature: [1.0, 0.0].into(), ..Distillation::default() };
    config(student.taught(Classification::new(cold)).build(&student), &["temperature", "> 0"]);
    let three = Distillation { logit_weight: [1.0; 3].into(), ..Distillation::default() };
    let words = ["logit_weight", "2 values", "found 3"];
    config(student.taught(Classification::new(three)).build(&student), &words);
}

#[test]
fn schedules_are_checked_at_build() {
    let student = Tiny::linear(2);
    let build = |scheduler: Box<dyn SmpScheduler>| {
        student.taught(Classification::default()).scheduler(scheduler).build(&student)
    };
    let fixed = |order: &[&str]| Ranking::Fixed(Modality::list(order));
    config(build(Box::new(Sequential::new([1, 1, 1]))), &["stages", "at most 2", "3", "drop"]);
    build(Box::new(Sequential::new([1, 1]))).unwrap();
    for alpha in [0.0, -0.5, f64::NAN, f64::INFINITY] {
        let found = format!("found {alpha}");
        config(build(Box::new(Partial::new(alpha, 0..1))), &["alpha of Partial", &found, "Joint"]);
    }
    let partial = Partial::new(1.0, 0..1).ranking(fixed(&["m0", "m1"]));
    config(build(Box::new(partial)), &["ranking of Partial", "PreviousEpoch", "Fixed"]);
    #[expect(clippy::reversed_empty_ranges)]
    let window = PerBatch::window(3..=2);
    config(build(Box::new(window)), &["window of PerBatch", "3..=2", "Joint"]);
    for wrong in [&["m0"][..], &["m0", "m0"], &["m0", "m2"], &["m0", "m1", "m1"], &[]] {
        let scheduler = Sequential::new([1]).ranking(fixed(wrong));
        let found = format!("{:?}", Modality::list(wrong));
        config(build(Box::new(scheduler)), &["Ranking::Fixed", "[\"m0\", \"m1\"]", &found]);
    }
}

#[test]
fn a_ranking_by_confidence_needs_teachers() {
    let student = Tiny::linear(2);
    let schedulers: [Box<dyn SmpScheduler>; 4] = [
        Box::new(Sequential::new([1])),
        Box::new(Sequential::new([1]).ranking(Ranking::PreviousEpoch)),
        Box::new(PerBatch::window(0..=1)),
        Box::new(Partial::new(0.5, 0..1)),
    ];
    for scheduler in schedulers {
        let builder = student.builder(Classification::default()).scheduler(scheduler);
        let words = ["scheduler", "teachers", "found none", "Ranking::Fixed"];
        config(builder.build(&student), &words);
    }
    let fixed = Sequential::new([1]).ranking(Ranking::Fixed(names(2)));
    student.builder(Classification::default()).scheduler(fixed).build(&student).unwrap();
}

#[test]
fn projections_are_of_known_modalities_and_real_widths() {
    let vs = nn::VarStore::new(Device::Cpu);
    let new =
        |widths: &[(&str, i64, i64)]| FeatureProjection::new(&vs.root(), widths.iter().copied());
    config(new(&[("m0", 2, 3), ("m0", 2, 3)]), &["\"m0\"", "one a modality"]);
    config(new(&[("m1", 0, 3)]), &["\"m1\"", "at least 1", "0 → 3"]);
    config(new(&[("m1", 3, -1)]), &["\"m1\"", "at least 1", "3 → -1"]);
    let student = Tiny::linear(2);
    let builder = student.taught(Classification::default());
    let built = builder.projection(new(&[("m7", 2, 3)]).unwrap()).build(&student);
    config(built, &["feature projection", "[\"m0\", \"m1\"]", "\"m7\""]);
}

/// A foreign scheduler with a plan for another number of modalities.
#[test]
fn a_plan_has_one_kappa_a_modality() {
    let student = Tiny::linear(2);
    for wrong in [vec![], vec![1.0], vec![1.0; 3]] {
        let builder = student.builder(Classification::default());
        let n = wrong.len().to_string();
        let mut trainer = builder.scheduler(Kappa(wrong)).build(&student).unwrap();
        let words =
            ["plan of the scheduler", "2, one for each", &format!("found {n}"), "scheduler"];
        config(trainer.step(&student, &student.batch(3, 0.0)), &words);
    }
}
