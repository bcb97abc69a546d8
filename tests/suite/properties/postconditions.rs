//! The checks of a step without error: gradients, report, plan and loss.

use g2d::{
    StepReport,
    trainer::{GradientScope, SuppressedMode, Suppression},
};
use proptest::prelude::*;
use tch::Kind;

use super::{
    case::{Schedule, Step},
    run::{Check, Run, failure},
};
use crate::support::{gradients, values, with_prefix};

impl Run<'_> {
    /// Checks the gradients against the plans of the window; the optimizer changes no encoder that
    /// has none.
    pub fn check_gradients(&mut self, report: &StepReport) -> Check {
        let grads = gradients(&self.model.vs);
        let own: Vec<_> =
            (0..self.case.k()).map(|m| with_prefix(&grads, &format!("m{m}"))).collect();
        let params = self.model.params();
        for (m, own) in own.iter().enumerate() {
            let all = params.encoder(m).len();
            match self.case.suppression {
                _ if self.window.learnt[m] => prop_assert_eq!(own.len(), all, "m{}", m),
                Suppression::SkipBackward => prop_assert!(own.is_empty(), "m{} has a gradient", m),
                Suppression::FusedLoss => {
                    let all = if self.window.taught[m] { all } else { 0 };
                    prop_assert_eq!(own.len(), all, "m{}", m);
                }
                Suppression::ZeroGradient(_) if report.present[m] == 0 => {
                    prop_assert!(own.is_empty(), "m{} has a gradient", m);
                }
                Suppression::ZeroGradient(scope) => {
                    prop_assert_eq!(own.len(), all, "m{}", m);
                    for (name, g) in own {
                        let in_scope = scope == GradientScope::All || g.dim() == 4;
                        let zero = g.eq(0.0).all().int64_value(&[]) == 1;
                        prop_assert!(!in_scope || zero, "the gradient of {} is not 0", name);
                    }
                }
            }
        }
        self.update()?;
        let after = values(&self.model.vs);
        for m in (0..self.case.k()).filter(|&m| own[m].is_empty()) {
            let path = format!("m{m}");
            let before = with_prefix(&self.window.before, &path);
            let mut after = with_prefix(&after, &path);
            if self.case.mode == SuppressedMode::Train {
                after.retain(|name, _| !name.contains("running"));
            }
            for (name, tensor) in after {
                prop_assert!(tensor.equal(&before[&name]), "{} changed", name);
            }
        }
        self.window.index = 0;
        Ok(())
    }

    /// Checks the report against the batch and its own plan.
    pub fn check_report(&self, step: &Step, report: &StepReport) -> Check {
        let (case, k) = (self.case, self.case.k());
        let count = |flags: &Option<Vec<bool>>| match flags {
            Some(flags) => flags.iter().filter(|present| **present).count() as i64,
            None => step.rows as i64,
        };
        let present: Vec<_> = step.present.iter().map(count).collect();
        prop_assert_eq!(&report.present, &present);
        prop_assert_eq!(report.batch_size, step.rows as i64);
        prop_assert_eq!(
            (report.micro_batch.index, report.micro_batch.count),
            (self.window.index, case.window)
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
            if case.distillation.head.is_some() {
                let trained = present[m] > 0 && case.trains_head(m);
                prop_assert_eq!(report.terms.head[m].is_some(), trained);
            }
        }
        let ensemble = case.distillation.ensemble.as_ref().filter(|term| term.weight != 0.0);
        let ensemble = ensemble.is_some() && !case.teachers.is_empty();
        prop_assert_eq!(report.terms.ensemble.is_some(), ensemble);
        prop_assert_eq!(report.terms.head.is_empty(), case.distillation.head.is_none());
        if report.outcome.skipped().is_none() {
            self.check_plan(report, kappa, &present)?;
            self.check_total(report)?;
        }
        Ok(())
    }

    /// Checks that the scheduler can make such a plan.
    fn check_plan(&self, report: &StepReport, kappa: &[f64], present: &[i64]) -> Check {
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

    /// Checks that the total is the weighted sum of the terms.
    fn check_total(&self, report: &StepReport) -> Check {
        let values = report.read().map_err(failure)?;
        let distillation = &self.case.distillation;
        let mut sum = distillation.task_weight * values.terms.task;
        for m in 0..self.case.k() {
            let alpha = distillation.alpha * distillation.feature_weight.get(m);
            let beta = distillation.beta * distillation.logit_weight.get(m);
            sum += alpha * values.terms.feature[m].unwrap_or(0.0)
                + beta * values.terms.logit[m].unwrap_or(0.0);
            if let Some(head) = &distillation.head {
                sum += head.weight.get(m) * values.terms.head[m].unwrap_or(0.0);
            }
        }
        let weight = distillation.ensemble.as_ref().map_or(0.0, |term| term.weight);
        sum += weight * values.terms.ensemble.unwrap_or(0.0);
        let tolerance = if self.case.kind == Kind::Double { 1e-9 } else { 1e-3 };
        let error = (values.terms.total - sum).abs();
        prop_assert!(
            error <= tolerance * (1.0 + sum.abs()),
            "{} against {}",
            values.terms.total,
            sum
        );
        Ok(())
    }
}
