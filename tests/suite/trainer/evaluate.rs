//! Evaluation of students and teachers.

use g2d::{Batch, Student, evaluate, trainer::evaluate_teacher};
use tch::{Device, Kind, Tensor};

use crate::support::{
    CLASSES, ModifiedStudent, Tiny, WIDTH, assert_mismatch, assert_number, assert_same, fuse,
    gradients, unimodal_logits, values, wave,
};

#[test]
fn evaluation_concatenates_the_predictions_of_its_batches_and_changes_nothing() {
    let student = Tiny::conv(2);
    let before = values(&student.vs);
    let batches = || [Ok(student.batch(4, 0.0)), Ok(student.batch(3, 1.0))];
    let predictions = evaluate(&student, batches()).unwrap();
    assert_same(&before, &values(&student.vs));
    assert!(gradients(&student.vs).is_empty() && !predictions.logits.requires_grad());
    assert_eq!(predictions.logits.size(), [7, CLASSES]);
    assert_eq!(Vec::<i64>::try_from(&predictions.targets).unwrap(), [0, 1, 2, 0, 0, 1, 2]);

    let [first, _] = batches().map(Result::unwrap);
    let features: Vec<_> = (0..2).map(|m| student.encode(m, &first, false).unwrap()).collect();
    let logits = fuse(&student, &features, &first, false);
    assert!(predictions.logits.slice(0, 0, 4, 1).equal(&logits));
    for (m, (modality, head)) in predictions.heads.iter().enumerate() {
        assert_eq!(modality.name(), format!("m{m}"));
        let expected = unimodal_logits(&student, m, &features, &first);
        assert!(head.slice(0, 0, 4, 1).equal(&expected));
    }
    let correct =
        predictions.logits.argmax(1, false).eq_tensor(&predictions.targets).sum(Kind::Double);
    assert_number(predictions.accuracy().unwrap(), correct.double_value(&[]) / 7.0);
    assert_eq!(predictions.head_accuracy().unwrap().len(), 2);

    let (teacher, _vs) = student.teacher(1, WIDTH);
    let predictions = evaluate_teacher(&teacher, 1, batches()).unwrap();
    assert_eq!((predictions.logits.size(), predictions.heads.len()), (vec![7, CLASSES], 0));
    let headless = ModifiedStudent::without_optional_methods(&student);
    assert!(evaluate(&headless, batches()).unwrap().heads.is_empty());
}

#[test]
fn invalid_batches_and_targets_are_errors_of_an_evaluation() {
    let student = Tiny::linear(2);
    assert_mismatch(evaluate(&student, []), &["evaluation", "at least one batch"]);
    let batch = Batch::new([wave(0.0, &[4, 5])], Tensor::zeros([4], (Kind::Int64, Device::Cpu)));
    assert_mismatch(evaluate(&student, [Ok(batch)]), &["2 inputs", "found 1"]);
    let predictions = evaluate(&student, [Ok(student.batch(3, 0.0))]).unwrap();
    let accuracy = |y: Tensor| g2d::metrics::accuracy(&predictions.logits, &y);
    assert_mismatch(accuracy(wave(0.0, &[3])), &["targets", "Int64", "Double"]);
    assert_mismatch(accuracy(Tensor::from_slice(&[0_i64, 1])), &["[N, C]", "[3, 3]", "[2]"]);
    assert_eq!(student.modalities().len(), 2);
}
