//! Balanced training: head and ensemble terms, and κ on the fused loss.
//!
//! - `gradients.rs`: against plain autograd; `heads.rs`: unimodal logits in a step.
//! - `missing.rs`: samples without a modality; `reports.rs`: reports and states.

mod gradients;
mod heads;
mod missing;
mod reports;

use g2d::{
    Batch, G2dTrainer, ModalityParams, Student, Teacher,
    loss::{Classification, Distillation, EnsembleTerm, HeadTarget, HeadTerm},
    trainer::Suppression,
};
use tch::{Kind, Tensor, nn};

use crate::support::{KappaPerStep, Snapshot, Tiny, WIDTH, fuse, unimodal_logits};

const T: f64 = 2.0;

/// Every term, with a weight of its own.
fn all_terms() -> Distillation {
    Distillation {
        task_weight: 1.5,
        alpha: 0.7,
        beta: 0.4,
        temperature: T.into(),
        head: Some(HeadTerm {
            weight: [0.5, 2.0].into(),
            temperature: T.into(),
            target: HeadTarget::Teacher,
        }),
        ensemble: Some(EnsembleTerm {
            weight: 0.3,
            temperature: T,
            teacher_temperature: [0.5, 3.0].into(),
        }),
        ..Distillation::default()
    }
}

/// A trainer with two teachers for a student that reads the inputs of `Tiny::linear`.
fn trainer(
    student: &dyn Student,
    params: ModalityParams,
    loss: Distillation,
    suppression: Suppression,
    kappa: Vec<Vec<f64>>,
    window: u64,
) -> G2dTrainer {
    let tiny = Tiny::linear(2);
    let builder = G2dTrainer::builder(Classification::new(loss)).encoders(params);
    let builder = builder.suppression(suppression).accumulate(window);
    let builder = builder.teacher(tiny.teacher(0, WIDTH).0).teacher(tiny.teacher(1, WIDTH).0);
    builder.scheduler(KappaPerStep(kappa)).build(student).unwrap()
}

fn softmax_kl(t: &Tensor, s: &Tensor) -> Tensor {
    let [log_t, log_s] = [t, s].map(|x| (x / T).log_softmax(1, Kind::Double));
    (log_t.exp() * (&log_t - log_s)).sum(Kind::Double) * (T * T / s.size()[0] as f64)
}

/// Gradients of one weighted sum by variable; zeros where it does not depend on a variable.
fn differentiate(sum: &Tensor, vs: &nn::VarStore) -> Snapshot {
    let mut variables: Vec<_> = vs.variables().into_iter().collect();
    variables.retain(|(_, tensor)| tensor.requires_grad());
    let tensors: Vec<_> = variables.iter().map(|(_, tensor)| tensor).collect();
    let found = Tensor::run_backward(&[sum], &tensors, true, false);
    let or_zeros = |g: Tensor, v: &Tensor| if g.defined() { g } else { v.zeros_like() };
    let each = variables.iter().zip(found);
    each.map(|((name, v), g)| (name.clone(), or_zeros(g, v))).collect()
}

/// The gradients of [`all_terms`] in plain autograd: those of the terms of the fused logits, and those of
/// the feature and head terms.
fn by_hand(student: &dyn Student, vs: &nn::VarStore, batch: &Batch) -> [Snapshot; 2] {
    let tiny = Tiny::linear(2);
    let teachers = [0, 1].map(|m| tiny.teacher(m, WIDTH).0.output(m, batch).unwrap());
    let features = [0, 1].map(|m| student.encode(m, batch, true).unwrap());
    let logits = fuse(student, &features, batch, true);
    let log_p = logits.log_softmax(1, Kind::Double).gather(1, &batch.targets().unsqueeze(1), false);
    let mut fused = -log_p.mean(Kind::Double) * 1.5;
    let mut direct = Tensor::from(0.0);
    for (m, teacher) in teachers.iter().enumerate() {
        fused += softmax_kl(&teacher.logits, &logits) * 0.4;
        let head = unimodal_logits(student, m, &features, batch);
        direct += softmax_kl(&teacher.logits, &head) * [0.5, 2.0][m];
        direct += (&features[m] - &teacher.features).square().mean(Kind::Double) * 0.7;
    }
    let ensemble = &teachers[0].logits / 0.5 + &teachers[1].logits / 3.0;
    fused += softmax_kl(&ensemble, &logits) * 0.3;
    [differentiate(&fused, vs), differentiate(&direct, vs)]
}
