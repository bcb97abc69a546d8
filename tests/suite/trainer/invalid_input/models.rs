//! What student, teachers and loss answer.

use g2d::{
    Batch, Error, TeacherOutput,
    loss::{Classification, Distillation},
    schedule::Sequential,
    trainer::FeatureProjection,
};
use tch::{Device, Kind, Tensor, nn};

use super::refuses;
use crate::support::{ModifiedStudent, ModifiedTeacher, Tiny, WIDTH};

/// What is made of a teacher's answer.
type Bend = fn(TeacherOutput) -> TeacherOutput;

#[test]
fn a_loss_that_is_not_finite_names_its_term() {
    let words = ["epoch 0, step", "task term", "finite", "NaN", "learning rate"];
    for m in 0..2 {
        let student = Tiny::linear(2);
        let trainer = student.builder(Classification::default()).build(&student).unwrap();
        let batch = student.batch(4, 0.0);
        let spoil = |(j, x): (usize, &Tensor)| if j == m { x * f64::NAN } else { x.copy() };
        let inputs: Vec<_> = batch.inputs().iter().enumerate().map(spoil).collect();
        let batch = Batch::new(inputs, batch.targets().copy());
        let error = refuses(&student, trainer, &words, |t| t.step(&student, &batch));
        assert!(matches!(error, Error::NonFinite(_)));
    }
    let nan_features =
        |said: TeacherOutput| TeacherOutput { features: said.features * f64::NAN, ..said };
    let nan_logits = |said: TeacherOutput| TeacherOutput { logits: said.logits * f64::NAN, ..said };
    let bent: [(Bend, &str); 2] =
        [(nan_features, "feature term of \"m1\""), (nan_logits, "logit term of \"m1\"")];
    for (bend, term) in bent {
        let student = Tiny::linear(2);
        let trainer = bent_teacher(&student, bend).build(&student).unwrap();
        let batch = student.batch(4, 0.0);
        refuses(&student, trainer, &[term, "finite", "NaN"], |t| t.step(&student, &batch));
    }
    let student = Tiny::linear(2);
    let huge = Distillation { alpha: 1e308, ..Distillation::default() };
    let far = |said: TeacherOutput| TeacherOutput { features: said.features + 100.0, ..said };
    let builder = student.builder(Classification::new(huge)).teacher(student.teacher(0, WIDTH).0);
    let builder = builder.teacher(ModifiedTeacher(student.teacher(1, WIDTH).0, far));
    let trainer = builder.build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    refuses(&student, trainer, &["weighted sum", "inf"], |t| t.step(&student, &batch));
}

/// The teacher of m1 answers as `bend` makes it.
fn bent_teacher(student: &Tiny, bend: Bend) -> g2d::trainer::Builder {
    let builder = student.builder(Classification::default()).teacher(student.teacher(0, WIDTH).0);
    builder.teacher(ModifiedTeacher(student.teacher(1, WIDTH).0, bend))
}

#[test]
fn a_teacher_that_ranks_with_nan_is_named() {
    let student = Tiny::linear(2);
    let bend = |said: TeacherOutput| TeacherOutput { logits: said.logits * f64::NAN, ..said };
    let builder = bent_teacher(&student, bend).scheduler(Sequential::new([1]));
    let trainer = builder.build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    let words = ["confidence", "\"m1\"", "NaN", "teacher"];
    let error = refuses(&student, trainer, &words, |t| t.step(&student, &batch));
    assert!(matches!(error, Error::NonFinite(_)));
}

#[test]
fn teachers_answer_in_the_right_shape() {
    let cases: [(Bend, &[&str]); 7] = [
        (
            |t| TeacherOutput { features: t.features.slice(1, 0, 3, 1), ..t },
            &["features", "\"m1\"", "[4, 3]", "[4, 4]", "FeatureProjection"],
        ),
        (
            |t| TeacherOutput { logits: Tensor::cat(&[&t.logits, &t.logits], 1), ..t },
            &["logits of teacher \"m1\"", "[4, 3]", "[4, 6]", "same classes"],
        ),
        (
            |t| TeacherOutput { logits: t.logits.slice(0, 0, 2, 1), ..t },
            &["logits of teacher \"m1\"", "[4, C]", "[2, 3]"],
        ),
        (
            |t| TeacherOutput { logits: t.logits.select(1, 0), ..t },
            &["logits of teacher \"m1\"", "[4, C]", "[4]"],
        ),
        (
            |t| TeacherOutput { features: t.features.slice(0, 0, 1, 1), ..t },
            &["features of teacher \"m1\"", "[4, ", "[1, 4]"],
        ),
        (
            |t| TeacherOutput { features: t.features.to_kind(Kind::Int64), ..t },
            &["features of teacher \"m1\"", "float", "Int64"],
        ),
        (
            |t| TeacherOutput { features: t.features.to_kind(Kind::Float), ..t },
            &["features", "\"m1\"", "Double", "Float", "convert"],
        ),
    ];
    for (bend, words) in cases {
        let student = Tiny::linear(2);
        let trainer = bent_teacher(&student, bend).build(&student).unwrap();
        let batch = student.batch(4, 0.0);
        refuses(&student, trainer, words, |trainer| trainer.step(&student, &batch));
    }
}

#[test]
fn students_answer_in_the_right_shape() {
    let student = Tiny::linear(2);
    let check = |bent: ModifiedStudent<'_>, words: &[&str]| {
        let trainer = student.builder_with_teachers(Classification::default()).build(&student).unwrap();
        let batch = student.batch(4, 0.0);
        refuses(&student, trainer, words, |trainer| trainer.step(&bent, &batch));
    };
    let features = |f| ModifiedStudent::with_features(&student, f);
    let words = ["features of modality \"m1\"", "[4, ", "[2, 4]"];
    check(features(|m, x| if m == 1 { x.slice(0, 0, 2, 1) } else { x }), &words);
    let words = ["features of modality \"m0\"", "[4, ", "found [4]"];
    check(features(|_, x| x.select(1, 0)), &words);
    let words = ["features of modality \"m0\"", "float", "Int64"];
    check(features(|_, x| x.to_kind(Kind::Int64)), &words);
    let logits = |f| ModifiedStudent::with_logits(&student, f);
    check(logits(|x| x.slice(0, 1, 4, 1)), &["logits of the student", "[4, C]", "[3, 3]"]);
    check(logits(|x| x.unsqueeze(0)), &["logits of the student", "[4, C]", "[1, 4, 3]"]);
    check(logits(|x| x.slice(1, 0, 2, 1)), &["logits of teacher", "[4, 2]", "[4, 3]", "classes"]);
    check(logits(|x| x * f64::INFINITY), &["task term", "finite"]);
}

#[test]
fn a_trainer_belongs_to_its_student() {
    let (two, three) = (Tiny::linear(2), Tiny::linear(3));
    let trainer = two.builder(Classification::default()).build(&two).unwrap();
    let batch = three.batch(4, 0.0);
    let words = ["student given to `step`", "[\"m0\", \"m1\"]", "\"m2\"", "build"];
    refuses(&two, trainer, &words, |trainer| trainer.step(&three, &batch));
}

#[test]
fn a_loss_that_nothing_depends_on_is_refused() {
    let student = Tiny::linear(2);
    let batch = student.batch(4, 0.0);
    let trainer = student.builder(Classification::default()).build(&student).unwrap();
    let words = ["loss", "parameter", "gradients on"];
    refuses(&student, trainer, &words, |trainer| {
        let _no_grad = tch::no_grad_guard();
        trainer.step(&student, &batch)
    });
    let trainer = student.builder(Classification::default()).build(&student).unwrap();
    let detached = ModifiedStudent::with_logits(&student, |logits| logits.detach());
    refuses(&student, trainer, &words, |trainer| trainer.step(&detached, &batch));
}

#[test]
fn a_projection_of_another_width_is_refused() {
    let student = Tiny::linear(2);
    let vs = nn::VarStore::new(Device::Cpu);
    let projection = FeatureProjection::new(&vs.root(), [("m1", 9, WIDTH)]).unwrap();
    let builder = student.builder_with_teachers(Classification::default()).projection(projection);
    let trainer = builder.build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    let words = ["student features of modality \"m1\"", "[B, 9]", "[4, 4]", "projection"];
    refuses(&student, trainer, &words, |trainer| trainer.step(&student, &batch));
}
