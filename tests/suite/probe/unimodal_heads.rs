//! The probes that read unimodal logits, against the same computed on plain numbers.

use g2d::{
    Batch, G2dTrainer, ModalityParams, Student,
    loss::{Classification, Distillation},
    probe::{HeadAccuracy, LossRatio, StudentConfidence},
    step::Measurement,
};
use tch::{Kind, Tensor};

use super::{identity_student::IdentityStudent, model_value, value};
use crate::support::{ModifiedStudent, Tiny, assert_mismatch, assert_number, wave, with_targets};

/// Each row's unimodal logits of m and its label.
fn head(batch: &Batch, k: usize, m: usize) -> Vec<(Vec<f64>, usize)> {
    let weight = wave(0.7, &[4 * k as i64, 3]).narrow(0, 4 * m as i64, 4);
    let logits: Vec<Vec<f64>> = batch.input(m).matmul(&weight).try_into().unwrap();
    let labels: Vec<i64> = batch.targets().try_into().unwrap();
    logits.into_iter().zip(labels).map(|(row, y)| (row, y as usize)).collect()
}

fn probability((row, y): &(Vec<f64>, usize)) -> f64 {
    row[*y].exp() / row.iter().map(|l| l.exp()).sum::<f64>()
}

fn is_correct((row, y): &(Vec<f64>, usize)) -> f64 {
    f64::from(u8::from((0..3).all(|j| row[j] <= row[*y])))
}

fn mean(rows: &[(Vec<f64>, usize)], value: impl Fn(&(Vec<f64>, usize)) -> f64) -> f64 {
    rows.iter().map(value).sum::<f64>() / rows.len() as f64
}

#[test]
fn the_student_confidence_is_the_mean_true_class_probability_of_each_head() {
    let student = IdentityStudent::new(3);
    let mut trainer = student.trainer(StudentConfidence::default());
    let batches = [student.batch(6, 0.0), student.batch(5, 2.0)];
    batches.iter().for_each(|batch| drop(trainer.step(&student, batch).unwrap()));
    let found = trainer.end_epoch().unwrap().measurements;
    let rho: Vec<f64> = (0..3)
        .map(|m| {
            let rows: Vec<_> = batches.iter().flat_map(|batch| head(batch, 3, m)).collect();
            mean(&rows, probability)
        })
        .collect();
    for m in 0..3 {
        let (name, a, b) = (format!("m{m}"), rho[(m + 1) % 3], rho[(m + 2) % 3]);
        let ratio = (rho[m] / a + rho[m] / b) / 2.0;
        assert_number(value(&found, "student_confidence", &name), rho[m]);
        assert_number(value(&found, "student_confidence_ratio", &name), ratio);
    }
}

#[test]
fn the_head_accuracy_is_over_the_samples_that_have_the_modality() {
    let student = IdentityStudent::new(2);
    let mut trainer = student.trainer(HeadAccuracy::default());
    let whole = student.batch(6, 0.0);
    let present = [true, false, true, true, false, true];
    let batch = student.batch(6, 0.0).with_present(1, present);
    let report = trainer.step(&student, &batch).unwrap();
    let found = trainer.end_epoch().unwrap().measurements;
    let mut rows = head(&whole, 2, 1);
    assert_number(value(&found, "head_accuracy", "m0"), mean(&head(&whole, 2, 0), is_correct));
    let mut flags = present.iter();
    rows.retain(|_| *flags.next().unwrap());
    assert_number(value(&found, "head_accuracy", "m1"), mean(&rows, is_correct));
    let fused = g2d::metrics::accuracy(&report.logits, whole.targets()).unwrap();
    assert_number(model_value(&found, "fused_accuracy"), fused);
    let teacher = whole.input(0).matmul(&wave(0.5, &[4, 3])) + wave(0.0, &[6, 3]).square() * 0.5;
    let teacher = g2d::metrics::accuracy(&teacher, whole.targets()).unwrap();
    assert_number(value(&found, "teacher_accuracy", "m0"), teacher);
}

/// The heads of a trainer with this loss on a batch of 6 samples and one of 5, with these targets.
fn accuracies(loss: Classification, targets: [Tensor; 2]) -> Vec<Measurement> {
    let student = IdentityStudent::new(2);
    let params = ModalityParams::by_name(&student.vs, student.modalities()).unwrap();
    let builder = G2dTrainer::builder(loss).encoders(params).probe(HeadAccuracy::default());
    let mut trainer = builder.build(&student).unwrap();
    for (targets, (rows, seed)) in targets.into_iter().zip([(6, 0.0), (5, 2.0)]) {
        let batch = with_targets(&student.batch(rows, seed), targets);
        trainer.step(&student, &batch).unwrap();
    }
    trainer.end_epoch().unwrap().measurements
}

/// The unimodal logits of m1 in both batches.
fn logits() -> Tensor {
    let student = IdentityStudent::new(2);
    let each = [student.batch(6, 0.0), student.batch(5, 2.0)]
        .map(|batch| batch.input(1).matmul(&wave(0.7, &[8, 3]).narrow(0, 4, 4)));
    Tensor::cat(&each, 0)
}

#[test]
fn the_head_accuracy_of_several_labels_per_sample_is_the_share_of_right_labels() {
    let sets = wave(0.2, &[11, 3]).gt(0.0).to_kind(Kind::Double);
    let loss = Classification::multi_label(Distillation::none());
    let found = accuracies(loss, [sets.narrow(0, 0, 6), sets.narrow(0, 6, 5)]);
    let expected = g2d::metrics::accuracy(&logits(), &sets).unwrap();
    assert_number(value(&found, "head_accuracy", "m1"), expected);
    assert!(model_value(&found, "fused_accuracy") > 0.0);
}

#[test]
fn the_head_accuracy_of_soft_labels_is_that_of_the_most_probable_class() {
    let soft = (wave(0.2, &[11, 3]) * 3.0).softmax(1, Kind::Double);
    let loss = Classification::soft(Distillation::none());
    let found = accuracies(loss, [soft.narrow(0, 0, 6), soft.narrow(0, 6, 5)]);
    let expected = g2d::metrics::accuracy(&logits(), &soft.argmax(1, false)).unwrap();
    assert_number(value(&found, "head_accuracy", "m1"), expected);
}

#[test]
fn the_head_accuracy_leaves_out_samples_to_ignore() {
    let y = Tensor::from_slice(&[0_i64, 2, 1, 2, 0, 1, 2, 0, 1, 1, 0]);
    let ignoring =
        Classification { ignore_index: Some(2), ..Classification::new(Distillation::none()) };
    let found = accuracies(ignoring.clone(), [y.narrow(0, 0, 6), y.narrow(0, 6, 5)]);
    let kept = y.ne(2).nonzero().view(-1);
    let expected =
        g2d::metrics::accuracy(&logits().index_select(0, &kept), &y.index_select(0, &kept));
    assert_number(value(&found, "head_accuracy", "m1"), expected.unwrap());
    // Without a label there is no accuracy.
    let none = |rows| Tensor::full([rows], 2, tch::kind::INT64_CPU);
    assert_eq!(accuracies(ignoring, [none(6), none(5)]), []);
}

#[test]
fn the_loss_ratio_compares_losses_smoothed_with_bias_correction() {
    let student = IdentityStudent::new(2);
    let mut trainer = student.trainer(LossRatio::with_smoothing(0.75).unwrap());
    let batches = [student.batch(6, 0.0), student.batch(5, 2.0), student.batch(6, 0.0)];
    batches.iter().for_each(|batch| drop(trainer.step(&student, batch).unwrap()));
    let found = trainer.end_epoch().unwrap().measurements;
    let smoothed = [0, 1].map(|m| {
        let loss = |batch| mean(&head(batch, 2, m), |row| -probability(row).ln());
        let sum = batches.iter().fold(0.0, |sum, batch| 0.75 * sum + 0.25 * loss(batch));
        sum / (1.0 - 0.75_f64.powi(3))
    });
    assert_number(value(&found, "head_loss", "m0"), smoothed[0]);
    assert_number(value(&found, "loss_ratio", "m0"), smoothed[0] / smoothed[1]);
    assert_number(value(&found, "loss_ratio", "m1"), smoothed[1] / smoothed[0]);
    assert_mismatch(LossRatio::with_smoothing(1.0), &["λ", "[0, 1)"]);
}

#[test]
fn without_unimodal_logits_nothing_is_measured_and_those_of_a_wrong_shape_are_an_error() {
    let tiny = Tiny::linear(2);
    let headless = ModifiedStudent::without_optional_methods(&tiny);
    let builder = tiny.builder(Classification::default());
    let builder = builder.probe(StudentConfidence::default()).probe(LossRatio::default());
    let mut trainer = builder.build(&headless).unwrap();
    trainer.step(&headless, &tiny.batch(4, 0.0)).unwrap();
    assert_eq!(trainer.end_epoch().unwrap().measurements, []);

    let identity = IdentityStudent::new(2);
    let flat =
        ModifiedStudent::with_unimodal_logits(&identity, |features| features[0].sum(Kind::Double));
    let mut trainer = identity.trainer(HeadAccuracy::default());
    let words = ["unimodal logits", "\"m0\""];
    assert_mismatch(trainer.step(&flat, &identity.batch(6, 0.0)), &words);
}

/// NaN has no largest logit: `argmax` would count it as a class.
#[test]
fn the_accuracy_of_a_head_that_is_not_finite_is_nan() {
    let student = IdentityStudent::new(2);
    let logits: fn(&[Tensor]) -> Tensor = |features| features[0].narrow(1, 0, 3) * f64::NAN;
    let nan = ModifiedStudent::with_unimodal_logits(&student, logits);
    let mut trainer = student.trainer(HeadAccuracy::default());
    trainer.step(&nan, &student.batch(6, 0.0)).unwrap();
    let found = trainer.end_epoch().unwrap().measurements;
    assert!(value(&found, "head_accuracy", "m0").is_nan());
    assert!(model_value(&found, "fused_accuracy").is_finite());
}
