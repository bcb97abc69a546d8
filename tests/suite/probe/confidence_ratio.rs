//! The confidence of the teachers.

use g2d::{loss::Classification, probe::ConfidenceRatio};

use super::value;
use crate::support::{Tiny, assert_number};

#[test]
fn the_confidence_ratio_is_the_mean_of_the_pairwise_ratios() {
    let student = Tiny::linear(3);
    let builder =
        student.builder_with_teachers(Classification::default()).probe(ConfidenceRatio::default());
    let mut trainer = builder.build(&student).unwrap();
    let (mut rho, mut samples) = ([0.0; 3], 0.0);
    for rows in [3, 5] {
        let report = trainer.step(&student, &student.batch(rows, rows as f64)).unwrap();
        for (sum, rho) in rho.iter_mut().zip(report.read().unwrap().confidence) {
            *sum += rho.unwrap() * rows as f64;
        }
        samples += rows as f64;
    }
    let rho = rho.map(|sum| sum / samples);
    let report = trainer.end_epoch().unwrap();
    for m in 0..3 {
        let name = format!("m{m}");
        let (a, b) = (rho[(m + 1) % 3], rho[(m + 2) % 3]);
        assert_number(value(&report.measurements, "confidence", &name), rho[m]);
        assert_number(report.confidence[m].unwrap(), rho[m]);
        assert_number(
            value(&report.measurements, "confidence_ratio", &name),
            (rho[m] / a + rho[m] / b) / 2.0,
        );
    }
}

#[test]
fn without_teachers_no_confidence_is_measured() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).probe(ConfidenceRatio::default());
    let mut trainer = builder.build(&student).unwrap();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    let report = trainer.end_epoch().unwrap();
    assert_eq!(report.measurements, []);
    assert_eq!(report.confidence, [None, None]);
}
