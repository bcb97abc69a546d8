//! Steps with a `Modulate`.

use g2d::{
    Error, G2dTrainer, Modality, Result, loss::Classification, modulation::Modulate,
    step::Observation,
};
use tch::Tensor;

use crate::support::{
    FixedKappa, ModifiedStudent, Tiny, assert_close, assert_mismatch, assert_same, gradients,
    with_prefix,
};

/// Scales the gradients of all encoders and returns `factors`.
struct Scale {
    factor: f64,
    factors: Vec<f64>,
    needs_logits: bool,
}

impl Modulate for Scale {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.needs_logits
    }

    fn modulate(&mut self, seen: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        for m in 0..seen.modalities().len() {
            if self.needs_logits {
                assert_eq!(seen.unimodal_logits(m)?.unwrap().size(), seen.logits.size());
            }
            for mut gradient in seen.params.gradients(m) {
                let _ = gradient.f_mul_(&Tensor::from(self.factor))?;
            }
        }
        Ok(Some(self.factors.clone()))
    }
}

fn trainer(student: &Tiny, kappa: &[f64], scale: Option<Scale>) -> G2dTrainer {
    let builder = student
        .builder_with_teachers(Classification::default())
        .scheduler(FixedKappa(kappa.to_vec()));
    match scale {
        Some(scale) => builder.modulation(scale),
        None => builder,
    }
    .build(student)
    .unwrap()
}

#[test]
fn a_modulation_multiplies_the_planned_gradients_and_is_reported() {
    let student = Tiny::linear(3);
    let batch = student.batch(4, 0.0);
    let kappa = [1.0, 0.5, 0.0];
    trainer(&student, &kappa, None).step(&student, &batch).unwrap();
    let planned = gradients(&student.vs);
    student.optimizer().zero_grad();
    let scale = Scale { factor: 0.5, factors: vec![0.5; 3], needs_logits: true };
    let mut trainer = trainer(&student, &kappa, Some(scale));
    let report = trainer.step(&student, &batch).unwrap();
    let found = gradients(&student.vs);
    assert!(found.keys().eq(planned.keys()), "an undefined gradient stays undefined");
    for (name, gradient) in &planned {
        let factor = if name.starts_with("head") { 1.0 } else { 0.5 };
        assert_close(&found[name], &(gradient * factor));
    }
    assert_same(&with_prefix(&found, "head"), &with_prefix(&planned, "head"));
    assert_eq!(report.plan.kappa(), kappa);
    assert_eq!(report.read().unwrap().kappa, [0.5, 0.25, 0.0]);
    assert_eq!(trainer.end_epoch().unwrap().kappa, [0.5, 0.25, 0.0]);
}

#[test]
fn a_modulation_returns_one_factor_per_modality() {
    let student = Tiny::linear(2);
    let scale = Scale { factor: 1.0, factors: vec![1.0; 3], needs_logits: false };
    let mut trainer = trainer(&student, &[1.0, 1.0], Some(scale));
    let words = ["gradient modulation", "2, one for each", "found 3"];
    let error = assert_mismatch(trainer.step(&student, &student.batch(4, 0.0)), &words);
    assert!(matches!(error, Error::Config(_)));
}

#[test]
fn missing_unimodal_logits_are_an_error_before_backward() {
    let student = Tiny::linear(2);
    let scale = Scale { factor: 1.0, factors: vec![1.0; 2], needs_logits: true };
    let mut trainer = trainer(&student, &[1.0, 1.0], Some(scale));
    let headless = ModifiedStudent::without_optional_methods(&student);
    let words = ["gradient modulation", "\"m0\"", "unimodal_logits"];
    assert_mismatch(trainer.step(&headless, &student.batch(4, 0.0)), &words);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 0);
}

#[test]
fn a_factor_that_is_not_finite_is_an_error() {
    let student = Tiny::linear(2);
    let scale = Scale { factor: 1.0, factors: vec![1.0, f64::NAN], needs_logits: false };
    let mut trainer = trainer(&student, &[1.0, 1.0], Some(scale));
    let words = ["factor of the gradient modulation", "\"m1\"", "NaN"];
    assert_mismatch(trainer.step(&student, &student.batch(4, 0.0)), &words);
}
