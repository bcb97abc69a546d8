//! Teachers that return probabilities in place of logits.

use g2d::{
    Batch, Teacher, TeacherOutput,
    batch::Input,
    loss::Classification,
    optim::SgdConfig,
    teacher::{
        Cached,
        cache::{Digest, Identity, OutputFile},
    },
    trainer::{UnimodalTrainer, evaluate_teacher},
};
use tch::{Device, Kind, Tensor, nn};

use crate::support::{ModifiedTeacher, Tiny, WIDTH, assert_config_error, with_targets};

const WORDS: [&str; 3] = ["logits", "sum to 1", "softmax"];

/// A teacher of m0 whose logits are changed.
fn teacher(student: &Tiny, change: fn(TeacherOutput) -> TeacherOutput) -> impl Teacher + use<> {
    ModifiedTeacher(student.teacher(0, WIDTH).0, change)
}

fn softmax(output: TeacherOutput) -> TeacherOutput {
    TeacherOutput { logits: output.logits.softmax(-1, None), ..output }
}

#[test]
fn probabilities_of_classes_are_refused_by_evaluation_recording_and_the_first_step() {
    let student = Tiny::linear(2);
    let batches = || [Ok(student.batch(4, 0.0)), Ok(student.batch(3, 0.0))];
    assert_config_error(evaluate_teacher(&teacher(&student, softmax), 0, batches()), &WORDS);
    let first = || [Ok(student.batch(4, 0.0))];
    assert_config_error(Cached::record(&teacher(&student, softmax), 0, first()), &WORDS);
    let folder = tempfile::tempdir().unwrap();
    let digest = || Digest::from_parts(["test"]);
    let file = OutputFile::new(folder.path().join("m0"), Identity::new("m0", digest(), digest()));
    assert_config_error(file.record(&teacher(&student, softmax), 0, first()), &WORDS);
    assert!(!file.path().exists());
    let build = |change| {
        let builder = student.builder(Classification::default());
        let builder = builder.teacher(teacher(&student, change));
        builder.teacher(student.teacher(1, WIDTH).0).build(&student).unwrap()
    };
    let found = build(softmax).step(&student, &student.batch(4, 0.0));
    assert_config_error(found, &["teacher \"m0\"", "sum to 1"]);
    // Their logarithms are logits, and so are numbers whose sum is near 1.
    let logarithm: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { logits: t.logits.log_softmax(-1, None), ..t };
    let larger: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { logits: t.logits.softmax(-1, None) * 1.01, ..t };
    for change in [logarithm, larger] {
        build(change).step(&student, &student.batch(4, 0.0)).unwrap();
        evaluate_teacher(&teacher(&student, change), 0, batches()).unwrap();
    }
}

/// One row may sum to 1 by chance, and targets of a regression may be shares.
#[test]
fn one_row_and_predictions_of_numbers_are_not_taken_for_probabilities() {
    let student = Tiny::linear(2);
    evaluate_teacher(&teacher(&student, softmax), 0, [Ok(student.batch(1, 0.0))]).unwrap();
    let shares = Tensor::full([4, 3], 0.3, (Kind::Double, Device::Cpu));
    let batch = with_targets(&student.batch(4, 0.0), shares);
    evaluate_teacher(&teacher(&student, softmax), 0, [Ok(batch)]).unwrap();
}

#[test]
fn a_model_that_ends_in_softmax_is_no_teacher() {
    let vs = nn::VarStore::new(Device::Cpu);
    let layer = nn::linear(vs.root() / "fc", 4, 3, Default::default());
    let model = |input: &Input, _: bool| {
        (input.first().shallow_clone(), input.apply(&layer).softmax(-1, None))
    };
    let batch = || {
        let labels = Tensor::from_slice(&[0_i64, 1, 2]);
        [Ok(Batch::new([labels.one_hot(4).to_kind(Kind::Float)], labels))]
    };
    let trainer = UnimodalTrainer::new("a", 0, Classification::default(), SgdConfig::default());
    assert_config_error(trainer.epochs(1).train(&model, &vs, |_| batch(), batch), &WORDS);
}
