//! What a `Modulate` and `Student::distilled_features` may change in a step.

use g2d::{
    Batch, Error, G2dTrainer, Modality, Result, Student,
    loss::{Classification, Distillation},
    modulation::Modulate,
    step::Observation,
};
use tch::Tensor;

use crate::support::{
    Bent, Kappa, Tiny, assert_close, assert_number, assert_same, below, gradients, mismatch, values,
};

/// Scales every encoder's gradient, and says so in `told`.
struct Scale {
    factor: f64,
    told: Vec<f64>,
    asks_heads: bool,
}

impl Modulate for Scale {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.asks_heads
    }

    fn modulate(&mut self, seen: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        for m in 0..seen.modalities().len() {
            if self.asks_heads {
                assert_eq!(seen.unimodal_logits(m)?.unwrap().size(), seen.logits.size());
            }
            for mut gradient in seen.params.gradients(m) {
                let _ = gradient.f_mul_(&Tensor::from(self.factor))?;
            }
        }
        Ok(Some(self.told.clone()))
    }
}

fn trainer(student: &Tiny, kappa: &[f64], scale: Option<Scale>) -> G2dTrainer {
    let builder = student.taught(Classification::default()).scheduler(Kappa(kappa.to_vec()));
    match scale {
        Some(scale) => builder.modulation(scale),
        None => builder,
    }
    .build(student)
    .unwrap()
}

#[test]
fn a_modulation_acts_after_the_plan_and_is_reported() {
    let student = Tiny::linear(3);
    let batch = student.batch(4, 0.0);
    let kappa = [1.0, 0.5, 0.0];
    trainer(&student, &kappa, None).step(&student, &batch).unwrap();
    let planned = gradients(&student.vs);
    student.optimizer().zero_grad();
    let scale = Scale { factor: 0.5, told: vec![0.5; 3], asks_heads: true };
    let mut trainer = trainer(&student, &kappa, Some(scale));
    let report = trainer.step(&student, &batch).unwrap();
    let found = gradients(&student.vs);
    assert!(found.keys().eq(planned.keys()), "what the plan left undefined stays so");
    for (name, gradient) in &planned {
        let factor = if name.starts_with("head") { 1.0 } else { 0.5 };
        assert_close(&found[name], &(gradient * factor));
    }
    assert_same(&below(&found, "head"), &below(&planned, "head"));
    assert_eq!(report.plan.kappa(), kappa);
    assert_eq!(report.read().unwrap().kappa, [0.5, 0.25, 0.0]);
    assert_eq!(trainer.end_epoch().unwrap().kappa, [0.5, 0.25, 0.0]);
}

#[test]
fn a_modulation_tells_a_factor_a_modality() {
    let student = Tiny::linear(2);
    let scale = Scale { factor: 1.0, told: vec![1.0; 3], asks_heads: false };
    let mut trainer = trainer(&student, &[1.0, 1.0], Some(scale));
    let words = ["gradient modulation", "2, one for each", "found 3"];
    let error = mismatch(trainer.step(&student, &student.batch(4, 0.0)), &words);
    assert!(matches!(error, Error::Config(_)));
}

#[test]
fn a_student_without_heads_is_refused_before_backward() {
    let student = Tiny::linear(2);
    let scale = Scale { factor: 1.0, told: vec![1.0; 2], asks_heads: true };
    let mut trainer = trainer(&student, &[1.0, 1.0], Some(scale));
    let headless = Bent::fuse(&student, |logits| logits);
    let words = ["gradient modulation", "\"m0\"", "unimodal_logits"];
    mismatch(trainer.step(&headless, &student.batch(4, 0.0)), &words);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 0);
}

/// A student that distils into something else than its encoders' features.
struct Distils<'a>(&'a Tiny, fn(&[Tensor]) -> Vec<Tensor>);

impl Student for Distils<'_> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.0.encode(m, batch, train)
    }

    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        self.0.fuse(features, train)
    }

    fn distilled_features(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok((self.1)(features))
    }
}

#[test]
fn l_feat_compares_what_the_student_distils_into() {
    let student = Tiny::linear(2);
    let (batch, before) = (student.batch(4, 0.0), values(&student.vs));
    let builder = student.taught(Classification::new(Distillation::features_only()));
    let mut trainer = builder.build(&student).unwrap();
    let doubled = Distils(&student, |features| features.iter().map(|f| f * 2.0).collect());
    let report = trainer.step(&doubled, &batch).unwrap().read().unwrap();
    for m in 0..2 {
        let (teacher, _vs) = student.teacher(m, crate::support::WIDTH);
        let teacher = g2d::Teacher::output(&teacher, m, &batch).unwrap().features;
        let distance = student.encode(m, &batch, true).unwrap() * 2.0 - teacher;
        let by_hand = distance.square().mean(None).double_value(&[]);
        assert_number(report.terms.feature[m].unwrap(), by_hand);
    }
    student.optimizer().zero_grad();
    let one = Distils(&student, |features| vec![features[0].shallow_clone()]);
    let words = ["distilled features", "2, one for each", "found 1", "Student::distilled_features"];
    mismatch(trainer.step(&one, &batch), &words);
    let short = Distils(&student, |f| f.iter().map(|f| f.slice(0, 0, 1, 1)).collect());
    let words = ["distilled features of modality \"m0\"", "[4, ", "[1, 4]"];
    mismatch(trainer.step(&short, &batch), &words);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 1);
    assert_same(&before, &values(&student.vs));
}
