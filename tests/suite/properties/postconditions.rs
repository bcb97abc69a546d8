//! What must hold of a step that was made: its gradients, its report, its plan, its loss.

use g2d::{
    StepReport,
    trainer::{GradientScope, SuppressedMode, Suppression},
};
use proptest::prelude::*;
use tch::Kind;

use super::{
    case::{Schedule, Step},
    run::{Holds, Run, failed},
};
use crate::support::{below, gradients, values};

impl Run<'_> {
    /// Gradients are as the plans of the window say, and the optimizer moves who may move.
    pub fn ready(&mut self, report: &StepReport) -> Holds {
        let grads = gradients(&self.model.vs);
        let own: Vec<_> = (0..self.case.k()).map(|m| below(&grads, &format!("m{m}"))).collect();
        let params = self.model.params();
        for (m, own) in own.iter().enumerate() {
            let all = params.encoder(m).len();
            match self.case.suppression {
                _ if self.open.learnt[m] => prop_assert_eq!(own.len(), all, "m{}", m),
                Suppression::SkipBackward => prop_assert!(own.is_empty(), "m{} has a gradient", m),
                Suppression::ZeroGradient(_) if report.present[m] == 0 => {
                    prop_assert!(own.is_empty(), "m{} has a gradient", m);
                }
                Suppression::ZeroGradient(scope) => {
                    prop_assert_eq!(own.len(), all, "m{}", m);
                    for (name, g) in own {
                        let acts = scope == GradientScope::All || g.dim() == 4;
                        let zero = g.eq(0.0).all().int64_value(&[]) == 1;
                        prop_assert!(!acts || zero, "the gradient of {} is not 0", name);
                    }
                }
            }
        }
        self.optimizer.step();
        let after = values(&self.model.vs);
        for m in (0..self.case.k()).filter(|&m| own[m].is_empty()) {
            let path = format!("m{m}");
            let (before, mut after) = (below(&self.open.before, &path), below(&after, &path));
            if self.case.mode == SuppressedMode::Train {
                after.retain(|name, _| !name.contains("running"));
            }
            for (name, tensor) in after {
                prop_assert!(tensor.equal(&before[&name]), "{} moved", name);
            }
        }
        self.open.place = 0;
        Ok(())
    }

    /// The report fits the batch and its own plan.
    pub fn describes(&self, step: &Step, report: &StepReport) -> Holds {
        let (case, k) = (self.case, self.case.k());
        let count = |flags: &Option<Vec<bool>>| match flags {
            Some(flags) => flags.iter().filter(|here| **here).count() as i64,
            None => step.rows as i64,
        };
        let present: Vec<_> = step.present.iter().map(count).collect();
        prop_assert_eq!(&report.present, &present);
        prop_assert_eq!(report.batch_size, step.rows as i64);
        prop_assert_eq!(
            (report.micro_batch.index, report.micro_batch.count),
            (self.open.place, case.window)
        );
        prop_assert_eq!(report.logits.size(), [step.rows as i64, case.columns]);
        prop_assert!(!report.logits.requires_grad() && !report.terms.total.requires_grad());

        let kappa = report.plan.kappa();
        prop_assert_eq!(kappa.len(), k);
        for m in 0..k {
            prop_assert!((0.0..=1.0).contains(&kappa[m]) && (present[m] > 0 || kappa[m] == 0.0));
            let taught = !case.teachers.is_empty() && present[m] > 0;
            let distillation = &case.distillation;
            let alpha = distillation.alpha * distillation.feature_weight.get(m);
            let beta = distillation.beta * distillation.logit_weight.get(m);
            prop_assert_eq!(report.confidence[m].is_some(), taught);
            prop_assert_eq!(report.terms.feature[m].is_some(), taught && alpha != 0.0);
            prop_assert_eq!(report.terms.logit[m].is_some(), taught && beta != 0.0);
        }
        if report.outcome.skipped().is_none() {
            self.plan(report, kappa, &present)?;
            self.total(report)?;
        }
        Ok(())
    }

    /// The plan is one of the schedule's.
    fn plan(&self, report: &StepReport, kappa: &[f64], present: &[i64]) -> Holds {
        let epoch = report.at.epoch;
        let joint = || (0..kappa.len()).all(|m| kappa[m] == f64::from(u8::from(present[m] > 0)));
        let alone = || kappa.iter().filter(|k| **k > 0.0).eq([&1.0]);
        let fits = match &self.case.schedule {
            Schedule::Joint => joint(),
            Schedule::Sequential { start, stages, .. }
                if (*start..start + stages.iter().sum::<u64>()).contains(&epoch) =>
            {
                alone()
            }
            Schedule::Partial(_, end, _) if epoch < *end => kappa.contains(&1.0),
            _ => joint(),
        };
        prop_assert!(fits, "{:?} in epoch {} for {:?}", kappa, epoch, present);
        Ok(())
    }

    /// The total is the weighted sum of its terms.
    fn total(&self, report: &StepReport) -> Holds {
        let seen = report.read().map_err(failed)?;
        let distillation = &self.case.distillation;
        let mut sum = distillation.task_weight * seen.terms.task;
        for m in 0..self.case.k() {
            let alpha = distillation.alpha * distillation.feature_weight.get(m);
            let beta = distillation.beta * distillation.logit_weight.get(m);
            sum += alpha * seen.terms.feature[m].unwrap_or(0.0)
                + beta * seen.terms.logit[m].unwrap_or(0.0);
        }
        let close = if self.case.kind == Kind::Double { 1e-9 } else { 1e-3 };
        let error = (seen.terms.total - sum).abs();
        prop_assert!(error <= close * (1.0 + sum.abs()), "{} against {}", seen.terms.total, sum);
        Ok(())
    }
}
