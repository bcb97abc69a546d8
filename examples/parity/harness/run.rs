//! Training the steps of a case.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use anyhow::{Context, Result};
use g2d::{
    G2dLoss, G2dTrainer, StepReport,
    loss::Classification,
    trainer::{GradientScope, Suppression},
};
use tch::{
    Tensor,
    nn::{self, OptimizerConfig, VarStore},
};

use super::{
    case::{GoldenCase, MODALITIES},
    compatibility::{ReportAllTerms, StoreUnimodalLogits},
    formula, models,
};

/// The computed numbers, by the keys of a case.
pub struct ComputedNumbers {
    pub steps: Vec<BTreeMap<String, Vec<f64>>>,
    pub final_abs_sum: BTreeMap<String, f64>,
}

/// Trains a case as the authors' code does and computes every quantity that a case may contain.
///
/// The gradients before modulation are those of a second student with the same weights and a trainer
/// without scheduler and modulation. One thread computes everything, so that the order of summation is
/// the same on every machine.
pub fn run(case: &GoldenCase) -> Result<ComputedNumbers> {
    tch::set_num_threads(1);
    let teachers = models::teachers(case)?;
    let (vs, student) = models::student(case)?;
    formula::fill(&vs, "student")?;
    let (mut free_vs, free_student) = models::student(case)?;
    let mut optimizer =
        nn::sgd(case.momentum, 0.0, case.weight_decay, false).build(&vs, case.lr)?;

    let [weighted, plain] = case.losses();
    let unimodal_logits = Rc::<RefCell<Vec<Tensor>>>::default();
    let mut builder = G2dTrainer::builder(ReportAllTerms { weighted: weighted.clone(), plain })
        .encoders(student.encoder_params(&vs)?)
        .scheduler(case.scheduler())
        .suppression(Suppression::ZeroGradient(GradientScope::FourDimensional))
        .modulation(StoreUnimodalLogits {
            inner: case.gradient_modulation(),
            unimodal_logits: unimodal_logits.clone(),
        });
    let mut free = G2dTrainer::builder(weighted).encoders(free_student.encoder_params(&free_vs)?);
    for teacher in teachers {
        free = free.teacher(teacher.share());
        builder = builder.teacher(teacher);
    }
    let (mut trainer, mut free) = (builder.build(&student)?, free.build(&free_student)?);

    let mut steps = Vec::new();
    for (t, step) in case.steps.iter().enumerate() {
        let batch = formula::batch(case.dataset, case.batch, t)?;
        free_vs.copy(&vs)?;
        zero_gradients(&free_vs);
        free.step(&free_student, &batch)?;

        begin_epoch(&mut trainer, step.epoch)?;
        optimizer.zero_grad();
        let report = trainer.step(&student, &batch)?;
        let mut found = numbers(&report)?;
        for (name, logits) in MODALITIES.iter().zip(&*unimodal_logits.borrow()) {
            let confidence = Classification::default().confidence(logits, batch.targets())?;
            found.insert(format!("student_confidence_{name}"), row(&confidence)?);
            found.insert(format!("{name}_logits_row0"), row(&logits.get(0))?);
        }
        let parts = [("audio", "audio_net"), ("visual", "visual_net"), ("fusion", "fusion_module")];
        for (name, path) in parts {
            found.insert(format!("grad_norm_before_{name}"), vec![gradient_norm(&free_vs, path)?]);
            found.insert(format!("grad_norm_after_{name}"), vec![gradient_norm(&vs, path)?]);
        }
        steps.push(found);
        optimizer.step();
    }
    let mut final_abs_sum = BTreeMap::new();
    for (name, tensor) in vs.variables() {
        let sum = tensor.f_abs()?.f_sum(tch::Kind::Double)?;
        final_abs_sum.insert(name, f64::try_from(sum)?);
    }
    Ok(ComputedNumbers { steps, final_abs_sum })
}

/// Sets the trainer's epoch: the steps of a case skip epochs.
fn begin_epoch(trainer: &mut G2dTrainer, epoch: u64) -> Result<()> {
    let mut state = serde_json::to_value(trainer.state()?)?;
    state["progress"]["epoch"] = epoch.into();
    Ok(trainer.restore(&serde_json::from_value(state)?)?)
}

/// The numbers of the report, by the keys of a case.
fn numbers(report: &StepReport) -> Result<BTreeMap<String, Vec<f64>>> {
    let values = report.read()?;
    let mut found = BTreeMap::from([
        ("loss".to_owned(), vec![values.terms.total]),
        ("task".to_owned(), vec![values.terms.task]),
        ("logits_row0".to_owned(), row(&report.logits.get(0))?),
    ]);
    for (m, name) in MODALITIES.into_iter().enumerate() {
        let term = |terms: &[Option<f64>]| terms[m].context("a term was not computed");
        found.insert(format!("feature_{name}"), vec![term(&values.terms.feature)?]);
        found.insert(format!("logit_{name}"), vec![term(&values.terms.logit)?]);
        found.insert(format!("kappa_{name}"), vec![values.kappa[m]]);
        found.insert(format!("teacher_confidence_{name}"), vec![term(&values.confidence)?]);
    }
    Ok(found)
}

fn row(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.f_reshape(-1_i64)?.try_into()?)
}

fn zero_gradients(vs: &VarStore) {
    for mut variable in vs.trainable_variables() {
        variable.zero_grad();
    }
}

/// √Σ‖g‖² over the parameters whose first path component is `part`.
fn gradient_norm(vs: &VarStore, part: &str) -> Result<f64> {
    let mut squares = 0.0;
    for (name, variable) in vs.variables() {
        let gradient = variable.grad();
        if name.split('.').next() == Some(part) && gradient.defined() {
            squares += f64::try_from(gradient.f_norm()?)?.powi(2);
        }
    }
    Ok(squares.sqrt())
}
