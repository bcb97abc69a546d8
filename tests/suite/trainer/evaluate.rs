//! Evaluation of students and teachers.

use g2d::{
    Batch, Student, evaluate,
    loss::{Classification, Distillation, Regression},
    predict,
    trainer::{Predictions, evaluate_teacher},
};
use tch::{Device, Kind, Tensor};

use crate::support::{
    CLASSES, ModifiedStudent, Tiny, WIDTH, assert_mismatch, assert_number, assert_same, fuse,
    gradients, unimodal_logits, values, wave, with_targets,
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

#[test]
fn a_prediction_without_targets_equals_the_evaluation_with_them() {
    let student = Tiny::linear(2);
    let bare = |batch: Batch| {
        let inputs: Vec<_> = (0..2).map(|m| batch.input(m).shallow_clone()).collect();
        Batch::without_targets(inputs)
            .with_ids(batch.ids().unwrap())
            .with_present(1, [true, false, true])
    };
    let batches = || [student.batch(3, 0.0), student.batch(3, 1.0)];
    let found = predict(&student, batches().map(|batch| Ok(bare(batch)))).unwrap();
    let present = |batch: Batch| Ok(batch.with_present(1, [true, false, true]));
    let expected = evaluate(&student, batches().map(present)).unwrap();
    assert!(found.logits.equal(&expected.logits));
    assert_eq!(found.heads.len(), 2);
    for ((m, left), (other, right)) in found.heads.iter().zip(&expected.heads) {
        assert!(m == other && left.equal(right));
    }
    assert_eq!(found.present, expected.present);
    assert_eq!(found.ids.unwrap(), [100, 101, 102, 100, 101, 102]);
    assert_eq!(found.targets.size(), [6, 0]);
    let trained = student.builder(Classification::default()).build(&student).unwrap();
    let same = trained.predict(&student, batches().map(|batch| Ok(bare(batch)))).unwrap();
    assert!(same.logits.equal(&expected.logits));
    // Targets that there are, are dropped; ids are whole or none.
    let mixed = [
        Ok(student.batch(3, 0.0)),
        Ok(Batch::without_targets([wave(0.0, &[2, 5]), wave(1.0, &[2, 5])])),
    ];
    let mixed = predict(&student, mixed).unwrap();
    assert_eq!((mixed.targets.size(), mixed.ids), (vec![5, 0], None));
}

#[test]
fn what_needs_targets_refuses_a_batch_without_them() {
    let student = Tiny::linear(2);
    let bare = || Batch::without_targets([wave(0.0, &[3, 5]), wave(1.0, &[3, 5])]);
    assert!(!bare().has_targets() && student.batch(3, 0.0).has_targets());
    assert_eq!((bare().size(), bare().targets().size()), (3, vec![3, 0]));
    assert_mismatch(evaluate(&student, [Ok(bare())]), &["targets", "`predict`"]);
    let (teacher, _vs) = student.teacher(1, WIDTH);
    assert_mismatch(evaluate_teacher(&teacher, 1, [Ok(bare())]), &["targets", "`predict`"]);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    assert_mismatch(trainer.step(&student, &bare()), &["targets", "[3, 0]", "`Batch::new`"]);
    let found = predict(&student, [Ok(bare())]).unwrap();
    assert_mismatch(found.accuracy(), &["[3, 0]", "`predict`"]);
    assert_mismatch(found.loss(&Classification::default()), &["[3, 0]"]);
    let uneven = Batch::without_targets([wave(0.0, &[3, 5]), wave(1.0, &[2, 5])]);
    assert_mismatch(predict(&student, [Ok(uneven)]), &["\"m1\"", "[3, …]", "[2, 5]"]);
}

/// The predictions of two batches, in which the second sample lacks m1 and the last has no label.
fn predictions(student: &Tiny) -> Predictions {
    let batch = |rows: i64, seed: f64| {
        let batch = student.batch(rows, seed);
        let weights = wave(0.4, &[rows]).square();
        batch.with_extra("w", weights).with_extra("mask", wave(0.0, &[rows, rows]))
    };
    let mut flags = [true; 4];
    flags[1] = false;
    let second = batch(3, 1.0);
    let _ = second.targets().get(2).fill_(-7);
    let batches = [Ok(batch(4, 0.0).with_present(1, flags)), Ok(second)];
    evaluate(student, batches).unwrap()
}

#[test]
fn the_loss_of_predictions_is_that_of_all_their_samples() {
    let student = Tiny::linear(2);
    let found = predictions(&student);
    assert_eq!(found.extras.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["w"]);
    let loss = Classification {
        class_weight: Some(vec![1.0, 3.0, 0.5]),
        ignore_index: Some(-7),
        sample_weight: Some("w".into()),
        ..Classification::default()
    };
    let w = found.extras.get("w").unwrap();
    let expected = |logits: &Tensor, rows: &[i64]| {
        let class = [1.0, 3.0, 0.5];
        let log_p = logits.log_softmax(1, Kind::Double);
        let (mut sum, mut whole) = (0.0, 0.0);
        for &row in rows {
            let y = found.targets.int64_value(&[row]);
            let weight = w.double_value(&[row]) * class[y as usize];
            sum -= weight * log_p.double_value(&[row, y]);
            whole += weight;
        }
        sum / whole
    };
    assert_number(found.loss(&loss).unwrap(), expected(&found.logits, &[0, 1, 2, 3, 4, 5]));
    let heads = found.head_losses(&loss).unwrap();
    let names: Vec<_> = heads.iter().map(|(m, _)| m.name()).collect();
    assert_eq!(names, ["m0", "m1"]);
    assert_number(heads[0].1, expected(&found.heads[0].1, &[0, 1, 2, 3, 4, 5]));
    assert_number(heads[1].1, expected(&found.heads[1].1, &[0, 2, 3, 4, 5]));
    // Without weights and unlabelled samples, the mean over the samples of the trainer's L_S.
    let plain = [Ok(student.batch(4, 0.0)), Ok(student.batch(3, 1.0))];
    let whole = evaluate(&student, plain).unwrap().loss(&Classification::default()).unwrap();
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let mut step = |rows, seed| {
        trainer.step(&student, &student.batch(rows, seed)).unwrap().terms.task.double_value(&[])
    };
    assert_number(whole, (4.0 * step(4, 0.0) + 3.0 * step(3, 1.0)) / 7.0);
    assert_mismatch(found.loss(&Regression::default()), &["targets", "floating-point"]);
}

#[test]
fn samples_to_ignore_can_be_left_out_of_predictions() {
    let student = Tiny::linear(2);
    let all = predictions(&student);
    assert_mismatch(all.accuracy(), &["-7", "Predictions::labelled"]);
    let found = all.labelled(-7).unwrap();
    assert!(found.logits.equal(&all.logits.narrow(0, 0, 6)));
    assert_eq!(found.present[0].1, [true, false, true, true, true, true]);
    assert_eq!(found.ids.as_ref().unwrap().len(), 6);
    assert_eq!(found.extras.get("w").unwrap().size(), [6]);
    let accuracy = g2d::metrics::accuracy(&found.heads[0].1, &found.targets).unwrap();
    assert_eq!(found.head_accuracy().unwrap()[0].1, accuracy);
    let nll = found.head_metric(g2d::metrics::nll).unwrap();
    assert_number(nll[1].1, found.head_losses(&Classification::default()).unwrap()[1].1);
    let none = Predictions::new(wave(0.0, &[2, 3]), Tensor::from_slice(&[-7_i64, -7]));
    assert_mismatch(none.labelled(-7), &["targets", "other than -7"]);
    let values = Predictions::new(wave(0.0, &[2, 3]), wave(0.0, &[2]));
    assert_mismatch(values.labelled(-7), &["Int64"]);
}

#[test]
fn predictions_of_several_labels_per_sample_have_accuracies_and_losses() {
    let student = Tiny::linear(2);
    let sets = wave(0.3, &[6, CLASSES]).gt(0.0).to_kind(Kind::Double);
    let batch = with_targets(&student.batch(6, 0.0), sets.shallow_clone());
    let found = evaluate(&student, [Ok(batch)]).unwrap();
    let share = |logits: &Tensor| {
        let right = logits.gt(0.0).eq_tensor(&sets.gt(0.5));
        right.to_kind(Kind::Double).mean(None).double_value(&[])
    };
    assert_number(found.accuracy().unwrap(), share(&found.logits));
    for (m, (_, accuracy)) in found.head_accuracy().unwrap().into_iter().enumerate() {
        assert_number(accuracy, share(&found.heads[m].1));
    }
    let loss = Classification::multi_label(Distillation::default());
    assert_number(found.loss(&loss).unwrap(), g2d::metrics::nll(&found.logits, &sets).unwrap());
    let words = ["one class label of every sample", "several labels"];
    assert_mismatch(g2d::calibration::Prediction::fit_all(&found), &words);
}
