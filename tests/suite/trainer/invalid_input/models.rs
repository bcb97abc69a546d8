//! Outputs of student, teachers and loss.

use g2d::{
    Error, TeacherOutput,
    loss::{Classification, Distillation},
    schedule::Sequential,
    trainer::FeatureProjection,
};
use tch::{Device, Kind, Tensor, nn};

use super::assert_fails_unchanged;
use crate::support::{ModifiedStudent, ModifiedTeacher, Tiny, WIDTH, with_nan_input};

/// A change of a teacher's output.
type Modify = fn(TeacherOutput) -> TeacherOutput;

#[test]
fn a_loss_that_is_not_finite_is_an_error_with_its_term() {
    let words = ["epoch 0, step", "task term", "finite", "NaN", "learning rate"];
    for m in 0..2 {
        let student = Tiny::linear(2);
        let trainer = student.builder(Classification::default()).build(&student).unwrap();
        let batch = with_nan_input(&student.batch(4, 0.0), m);
        let error = assert_fails_unchanged(&student, trainer, &words, |t| t.step(&student, &batch));
        assert!(matches!(error, Error::NonFinite(_)));
    }
    let nan_features: Modify = |t| TeacherOutput { features: t.features * f64::NAN, ..t };
    for (modify, term) in
        [(nan_features, "feature term of \"m1\""), (NAN_LOGITS, "logit term of \"m1\"")]
    {
        let student = Tiny::linear(2);
        let loss = Classification::default();
        let trainer = builder_with_modified_teacher(&student, loss, modify).build(&student);
        let trainer = trainer.unwrap();
        let batch = student.batch(4, 0.0);
        assert_fails_unchanged(&student, trainer, &[term, "finite", "NaN"], |t| {
            t.step(&student, &batch)
        });
    }
    let student = Tiny::linear(2);
    let huge = Distillation { alpha: 1e308, ..Distillation::default() };
    let far: Modify = |t| TeacherOutput { features: t.features + 100.0, ..t };
    let builder = builder_with_modified_teacher(&student, Classification::new(huge), far);
    let trainer = builder.build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    assert_fails_unchanged(&student, trainer, &["weighted sum", "inf"], |t| {
        t.step(&student, &batch)
    });
}

const NAN_LOGITS: Modify = |t| TeacherOutput { logits: t.logits * f64::NAN, ..t };

/// A builder with a teacher for each modality; `modify` changes the outputs of that of m1.
fn builder_with_modified_teacher(
    student: &Tiny,
    loss: Classification,
    modify: Modify,
) -> g2d::trainer::Builder {
    let builder = student.builder(loss).teacher(student.teacher(0, WIDTH).0);
    builder.teacher(ModifiedTeacher(student.teacher(1, WIDTH).0, modify))
}

#[test]
fn a_confidence_of_nan_in_a_ranking_is_an_error_with_its_teacher() {
    let student = Tiny::linear(2);
    let builder = builder_with_modified_teacher(&student, Classification::default(), NAN_LOGITS);
    let trainer = builder.scheduler(Sequential::new([1])).build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    let words = ["confidence", "\"m1\"", "NaN", "teacher"];
    let error = assert_fails_unchanged(&student, trainer, &words, |t| t.step(&student, &batch));
    assert!(matches!(error, Error::NonFinite(_)));
}

#[test]
fn teacher_outputs_of_a_wrong_shape_or_dtype_are_errors() {
    let cases: [(Modify, &[&str]); 7] = [
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
    for (modify, words) in cases {
        let student = Tiny::linear(2);
        let loss = Classification::default();
        let trainer = builder_with_modified_teacher(&student, loss, modify).build(&student);
        let trainer = trainer.unwrap();
        let batch = student.batch(4, 0.0);
        assert_fails_unchanged(&student, trainer, words, |trainer| trainer.step(&student, &batch));
    }
}

#[test]
fn student_outputs_of_a_wrong_shape_or_dtype_are_errors() {
    let student = Tiny::linear(2);
    let check = |modified: ModifiedStudent<'_, Tiny>, words: &[&str]| {
        let trainer =
            student.builder_with_teachers(Classification::default()).build(&student).unwrap();
        let batch = student.batch(4, 0.0);
        assert_fails_unchanged(&student, trainer, words, |trainer| trainer.step(&modified, &batch));
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
fn a_step_with_another_student_is_an_error() {
    let (two, three) = (Tiny::linear(2), Tiny::linear(3));
    let trainer = two.builder(Classification::default()).build(&two).unwrap();
    let batch = three.batch(4, 0.0);
    let words = ["student given to `step`", "[\"m0\", \"m1\"]", "\"m2\"", "build"];
    assert_fails_unchanged(&two, trainer, &words, |trainer| trainer.step(&three, &batch));
}

#[test]
fn a_loss_that_depends_on_no_parameter_is_an_error() {
    let student = Tiny::linear(2);
    let batch = student.batch(4, 0.0);
    let trainer = student.builder(Classification::default()).build(&student).unwrap();
    let words = ["loss", "parameter", "gradients on"];
    assert_fails_unchanged(&student, trainer, &words, |trainer| {
        let _no_grad = tch::no_grad_guard();
        trainer.step(&student, &batch)
    });
    let trainer = student.builder(Classification::default()).build(&student).unwrap();
    let detached = ModifiedStudent::with_logits(&student, |logits| logits.detach());
    assert_fails_unchanged(&student, trainer, &words, |trainer| trainer.step(&detached, &batch));
}

#[test]
fn a_projection_from_another_width_is_an_error() {
    let student = Tiny::linear(2);
    let vs = nn::VarStore::new(Device::Cpu);
    let projection = FeatureProjection::new(&vs.root(), [("m1", 9, WIDTH)]).unwrap();
    let builder = student.builder_with_teachers(Classification::default()).projection(projection);
    let trainer = builder.build(&student).unwrap();
    let batch = student.batch(4, 0.0);
    let words = ["student features of modality \"m1\"", "[B, 9]", "[4, 4]", "projection"];
    assert_fails_unchanged(&student, trainer, &words, |trainer| trainer.step(&student, &batch));
}
