//! Evaluation: what it computes, and which batches it refuses.

use g2d::{Batch, Student, evaluate, trainer::evaluate_teacher};
use tch::{Device, Kind, Tensor};

use crate::support::{
    Bent, CLASSES, Tiny, WIDTH, assert_number, assert_same, gradients, mismatch, values, wave,
};

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

#[test]
fn evaluation_checks_its_batches() {
    let student = Tiny::linear(2);
    mismatch(evaluate(&student, []), &["evaluation", "at least one batch"]);
    let batch = Batch::new([wave(0.0, &[4, 5])], Tensor::zeros([4], (Kind::Int64, Device::Cpu)));
    mismatch(evaluate(&student, [Ok(batch)]), &["2 inputs", "found 1"]);
    let seen = evaluate(&student, [Ok(student.batch(3, 0.0))]).unwrap();
    let accuracy = |y: Tensor| g2d::metrics::accuracy(&seen.logits, &y);
    mismatch(accuracy(wave(0.0, &[3])), &["targets", "Int64", "Double"]);
    mismatch(accuracy(Tensor::from_slice(&[0_i64, 1])), &["[N, C]", "[3, 3]", "[2]"]);
    assert_eq!(student.modalities().len(), 2);
}
