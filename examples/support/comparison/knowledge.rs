//! What follows from the teachers without a student: their calibration, and the baselines.

use anyhow::{Context, Result};
use g2d::{
    Modality,
    calibration::{Calibration, FusionWeights},
    loss::{Confidence, ExponentialError},
    schedule::Ranking,
    trainer::Predictions,
};
use tch::{Kind, Tensor};

use super::{problem::Problem, task::PredictionTask, teacher::SharedTeacher};
use crate::support::{
    baselines::Baseline,
    composition::TeacherKnowledge,
    metric::{Scores, with_keys},
};

/// What the validation predictions of the teachers tell the methods.
pub fn knowledge(teachers: &[SharedTeacher], task: &PredictionTask) -> Result<TeacherKnowledge> {
    let val = || teachers.iter().map(|teacher| (teacher.modality(), &teacher.predictions.val));
    match task {
        PredictionTask::Classification { .. } => {
            let all = val().map(|(m, p)| (m.clone(), &p.logits, &p.targets));
            Ok(TeacherKnowledge::Classes(Calibration::fit(all)?))
        }
        PredictionTask::Regression { .. } => {
            let column = |p: &Predictions| p.targets.reshape_as(&p.logits);
            let mse = |(_, p): (&Modality, &Predictions)| {
                (&p.logits - column(p)).square().mean(Kind::Double).double_value(&[])
            };
            let rho = |(m, p): (&Modality, &Predictions)| {
                let rho = ExponentialError.rho(&p.logits, &p.targets)?.double_value(&[]);
                Ok((m.clone(), rho))
            };
            Ok(TeacherKnowledge::Values {
                weights: FusionWeights::from_errors(val().map(mse).collect::<Vec<_>>())?,
                ranking: Ranking::HeldOut(val().map(rho).collect::<g2d::Result<_>>()?),
            })
        }
    }
}

/// The metrics of all baselines on validation and test data.
pub fn baselines(
    teachers: &[SharedTeacher],
    knowledge: &TeacherKnowledge,
    problem: &Problem,
) -> Result<Vec<(Baseline, Scores)>> {
    let task = &problem.task;
    let key = task.metrics()[0].key_on("val");
    let score = |teacher: &SharedTeacher| task.metrics()[0].score(teacher.summary.scores[&key]);
    let better = teachers.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
    let better = better.context("no teachers")?.summary.scores.clone();
    let ensemble = |baseline, combine: &dyn Fn(&[Tensor]) -> g2d::Result<Tensor>| {
        let mut scores = Scores::new();
        for (split, of) in [
            ("val", (|t| &t.predictions.val) as fn(&SharedTeacher) -> &Predictions),
            ("test", |t| &t.predictions.test),
        ] {
            let logits: Vec<_> =
                teachers.iter().map(|t| of(t).logits.to_kind(Kind::Double)).collect();
            let values = task.evaluate(&combine(&logits)?, &of(&teachers[0]).targets)?;
            scores.extend(with_keys(task.metrics(), split, &values));
        }
        g2d::Result::Ok((baseline, scores))
    };
    let mean = |logits: &[Tensor]| Ok(Tensor::f_stack(logits, 0)?.f_mean_dim(0, false, None)?);
    let mut all = vec![(Baseline::BetterTeacher, better)];
    all.push(ensemble(Baseline::EnsembleMean, &mean)?);
    match knowledge {
        TeacherKnowledge::Classes(calibration) => {
            let probabilities = |logits: &[Tensor]| {
                mean(&logits.iter().map(|l| l.softmax(1, None)).collect::<Vec<_>>())
            };
            all.push(ensemble(Baseline::EnsembleProbabilities, &probabilities)?);
            let calibrated = |logits: &[Tensor]| calibration.ensemble(logits);
            all.push(ensemble(Baseline::EnsembleCalibrated, &calibrated)?);
        }
        TeacherKnowledge::Values { weights, .. } => {
            let weighted = |values: &[Tensor]| {
                let each = values.iter().zip(weights.as_slice());
                Ok(each.map(|(value, weight)| value * *weight).sum())
            };
            all.push(ensemble(Baseline::EnsembleWeighted, &weighted)?);
        }
    }
    if let Some(scores) = problem.target_mean()? {
        all.push((Baseline::TargetMean, scores));
    }
    Ok(all)
}
