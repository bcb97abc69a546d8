//! The modality gap against NumPy.

use g2d::{loss::Classification, probe::ModalityGap};

use super::{
    identity_student::{IdentityStudent, measured},
    value,
};
use crate::support::{Tiny, assert_number, wave};

// c = [(X / np.linalg.norm(X, axis=1, keepdims=True)).mean(0) for X in
//      (np.concatenate([wave(p+10*m, n, 4) for n, p in [(6, 0.0), (5, 2.0)]]) for m in range(2))]
// np.linalg.norm(c[0] - c[1])
#[test]
fn the_modality_gap_agrees_with_numpy() {
    let found = measured(ModalityGap::default());
    for m in ["m0", "m1"] {
        assert_number(value(&found, "modality_gap", m), 0.20911564081177236);
    }
}

#[test]
fn the_modality_gap_is_measured_between_features_of_the_same_width() {
    let student = Tiny::with_widths(&[4, 3, 4], tch::Kind::Double);
    let builder = student.builder(Classification::default()).probe(ModalityGap::default());
    let mut trainer = builder.build(&student).unwrap();
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    let found = trainer.end_epoch().unwrap().measurements;
    let names: Vec<_> = found.iter().map(|m| m.modality.clone().unwrap().to_string()).collect();
    assert_eq!(names, ["m0", "m2"]);
}

#[test]
fn samples_that_lack_a_modality_are_left_out() {
    let student = IdentityStudent::new(2);
    let batch = student.batch(6, 0.0).with_present(1, [true, true, true, true, true, false]);
    let mut trainer = student.trainer(ModalityGap::default());
    trainer.step(&student, &batch).unwrap();
    let found = trainer.end_epoch().unwrap().measurements;
    let centroid = |x: tch::Tensor| {
        let norms = x.square().sum_dim_intlist([1_i64].as_slice(), true, tch::Kind::Double).sqrt();
        (x / norms).mean_dim([0_i64].as_slice(), false, tch::Kind::Double)
    };
    let own = centroid(wave(10.0, &[6, 4]).narrow(0, 0, 5));
    let gap = (centroid(wave(0.0, &[6, 4])) - own).square().sum(tch::Kind::Double).sqrt();
    assert_number(value(&found, "modality_gap", "m1"), gap.double_value(&[]));
}
