//! From teacher outputs to ρ to a plan.

use std::fmt::Arguments;

use tch::{Device, Tensor};

use super::{Precision, finite::FiniteGuard, forward::check_output, sources};
use crate::batch::{Batch, Input, SplitBatch};
use crate::error::{self, Result};
use crate::ranks::{Call, Ranks};
use crate::schedule::{Candidates, Plan, Progress, SmpScheduler};
use crate::state::State;
use crate::step::{Combined, Objective};
use crate::teacher::{HostCopy, ProbabilityCheck, Teacher, TeacherOutput, caught_output};
use crate::transfer;

/// Decides how much every encoder learns in a step, before the student runs.
pub(super) struct Planner {
    teachers: Vec<Box<dyn Teacher>>,
    scheduler: Box<dyn SmpScheduler>,
    precision: Precision,
    /// For each teacher, whether its logits are still to be checked for probabilities.
    unchecked: Vec<bool>,
}

/// A plan and what it was made from.
pub(super) struct Planned {
    /// Outputs for the samples that have each modality; empty without teachers.
    pub teachers: Vec<Option<TeacherOutput>>,
    /// ρ of every modality, scalars on the student's device.
    pub confidence: Vec<Option<Tensor>>,
    pub plan: Plan,
    /// The batch that all ranks have together.
    pub combined: Combined,
}

/// What a plan is made from, on this rank.
struct Evidence {
    teachers: Vec<Option<TeacherOutput>>,
    /// ρ of every modality, in host memory where the teacher's logits are.
    confidence: Vec<Option<Tensor>>,
    /// What the other ranks are shown.
    row: Vec<f64>,
}

impl Planner {
    /// Binds the scheduler. `teachers` has one teacher per modality in their order, or none.
    pub(super) fn new(
        teachers: Vec<Box<dyn Teacher>>,
        mut scheduler: Box<dyn SmpScheduler>,
        precision: Precision,
        objective: &Objective,
    ) -> Result<Self> {
        scheduler.bind(objective.modalities())?;
        if scheduler.needs_confidence() && teachers.is_empty() {
            return Err(error::config(
                "scheduler",
                "teachers, since it ranks modalities by their confidence ρ",
                "none",
                "add a teacher for each modality, or fix the order with `Ranking::Fixed`",
            ));
        }
        let unchecked = vec![true; teachers.len()];
        Ok(Self { teachers, scheduler, precision, unchecked })
    }

    /// Runs the teachers, computes ρ of the combined batch of all ranks and obtains a plan from the
    /// scheduler. Synchronises with the device only where the scheduler reads a ρ that is not in host memory.
    pub(super) fn plan(
        &mut self,
        at: Progress,
        parts: &SplitBatch<'_>,
        objective: &Objective,
        guard: &mut FiniteGuard,
        ranks: &Ranks,
    ) -> Result<Planned> {
        let _no_grad = tch::no_grad_guard();
        let evidence = self.evidence(at, parts, objective, guard, ranks);
        let shown = |evidence: &Evidence| evidence.row.clone();
        let (Evidence { teachers, confidence, .. }, rows) =
            ranks.agree(Call::Plan, at.total_steps, evidence, shown)?;
        let combined = Combined::new(&rows, ranks.rank(), objective.modalities().len());
        let complete = match ranks.group() {
            Some(group) if group.is_used_by_layers() => {
                Combined::check_all_have(&rows, objective.modalities())
            }
            _ => Ok(()),
        };
        let plan = complete.and_then(|()| self.schedule(at, &combined, objective));
        let plan = plan.map_err(|error| ranks.fail(Call::Loss, at.total_steps, error))?;
        let device = parts.whole().device();
        let send = |(m, rho): (usize, Option<Tensor>)| {
            let rho = rho.map(|rho| combined.share_of_confidence(m, &rho)).transpose()?;
            rho.map(|rho| transfer::send(&rho, device)).transpose()
        };
        let confidence = confidence.into_iter().enumerate().map(send).collect::<Result<_>>()?;
        Ok(Planned { teachers, confidence, plan, combined })
    }

    /// The number of teachers.
    pub(super) fn teachers(&self) -> usize {
        self.teachers.len()
    }

    pub(super) fn end_epoch(&mut self, epoch: u64, confidence: &[Option<f64>]) -> Result<()> {
        self.scheduler.end_epoch(epoch, confidence)
    }

    pub(super) fn state(&self) -> Result<State> {
        self.scheduler.state()
    }

    pub(super) fn restore(&mut self, state: &State) -> Result<()> {
        self.scheduler.restore(state)
    }

    /// The teachers' outputs, checked, detached and in `Float`.
    fn outputs(
        &self,
        parts: &SplitBatch<'_>,
        objective: &Objective,
    ) -> Result<Vec<Option<TeacherOutput>>> {
        let output = |(m, teacher): (usize, &dyn Teacher)| {
            let Some(batch) = parts.get(m) else { return Ok(None) };
            let region = self.precision.region(batch.device())?;
            let output = caught_output(teacher, m, batch)?;
            drop(region);
            let modality = &objective.modalities()[m];
            let check = |what| check_output(what, &output.features, None, batch);
            check(format_args!("features of teacher {modality:?}"))?;
            let check = |what| check_logits(what, &output.logits, batch, objective);
            check(format_args!("logits of teacher {modality:?}"))?;
            let widen = |tensor| self.precision.widen(without_graph(tensor));
            let host = output.host.map(|HostCopy { logits, targets }| {
                widen(logits).map(|logits| HostCopy { logits, targets })
            });
            let (features, logits) = (widen(output.features)?, widen(output.logits)?);
            Ok(Some(TeacherOutput { features, logits, host: host.transpose()? }))
        };
        self.teachers.iter().map(Box::as_ref).enumerate().map(output).collect()
    }

    /// Refuses logits that are probabilities, in the first outputs of each teacher that are in host
    /// memory and have enough rows.
    fn check_probabilities(
        &mut self,
        teachers: &[Option<TeacherOutput>],
        parts: &SplitBatch<'_>,
        objective: &Objective,
    ) -> Result<()> {
        for (m, (teacher, unchecked)) in teachers.iter().zip(&mut self.unchecked).enumerate() {
            let (Some(teacher), Some(batch), true) = (teacher, parts.get(m), *unchecked) else {
                continue;
            };
            let (logits, targets) = match &teacher.host {
                Some(HostCopy { logits, targets }) => (logits, targets),
                None => (&teacher.logits, batch.targets()),
            };
            if logits.device() != Device::Cpu {
                continue;
            }
            let mut check = ProbabilityCheck::default();
            check.add(logits, targets)?;
            let what = format!("logits of teacher {:?}", objective.modalities()[m]);
            *unchecked = !check.finish_on_host(&what)?;
        }
        Ok(())
    }

    /// Teacher outputs and ρ, which is read if the scheduler reads it. A ρ that is not finite is an error
    /// under a policy that does not skip.
    fn evidence(
        &mut self,
        at: Progress,
        parts: &SplitBatch<'_>,
        objective: &Objective,
        guard: &mut FiniteGuard,
        ranks: &Ranks,
    ) -> Result<Evidence> {
        let teachers = self.outputs(parts, objective)?;
        self.check_probabilities(&teachers, parts, objective)?;
        let confidence = confidences(&teachers, parts, objective)?;
        let mut rho = vec![f64::NAN; confidence.len()];
        if self.scheduler.reads_confidence(at) {
            rho = read_confidence(&teachers, &confidence, parts, guard)?;
            let finite = |(rho, known): (&f64, &Option<Tensor>)| known.is_none() || rho.is_finite();
            if !guard.skips() && !rho.iter().zip(&confidence).all(finite) {
                let known =
                    sources::before_student(objective, parts.whole(), &teachers, &confidence);
                return Err(sources::confidence_error(at, known)?);
            }
        }
        let row = Combined::row(parts, &rho, objective, ranks)?;
        Ok(Evidence { teachers, confidence, row })
    }

    fn schedule(
        &mut self,
        at: Progress,
        combined: &Combined,
        objective: &Objective,
    ) -> Result<Plan> {
        let k = objective.modalities().len();
        let missing = || (0..k).filter(|&m| combined.is_missing(m));
        let mut candidates = Candidates::without_confidence(k);
        let mut rankable = true;
        if self.scheduler.reads_confidence(at) {
            let rho = combined.confidence();
            let has_teacher = |m: usize| !self.teachers.is_empty() && !combined.is_missing(m);
            rankable = (0..k).all(|m| !has_teacher(m) || rho[m].is_finite());
            candidates = Candidates::from_confidence(rho);
        }
        let mut plan = if rankable {
            self.scheduler.plan(at, &missing().fold(candidates, Candidates::without))?
        } else {
            Plan::joint(k) // The step is skipped before any gradient; its report gives the cause.
        };
        if plan.kappa().len() != k {
            let (what, found) = ("plan of the scheduler: κ", plan.kappa().len());
            let hint = "correct the scheduler";
            return Err(error::one_per_modality(what, objective.modalities(), found, hint));
        }
        missing().for_each(|m| plan.stop(m));
        Ok(plan)
    }
}

/// ρ of every modality, in host memory where the teacher's logits are, else on the device; `None`
/// without a teacher and for a modality that the whole batch lacks.
fn confidences(
    teachers: &[Option<TeacherOutput>],
    parts: &SplitBatch<'_>,
    objective: &Objective,
) -> Result<Vec<Option<Tensor>>> {
    let rho = |(m, modality)| {
        let (Some(Some(teacher)), Some(batch)) = (teachers.get(m), parts.get(m)) else {
            return Ok(None);
        };
        let rho = match &teacher.host {
            None => objective.rho(&teacher.logits, batch.targets())?,
            Some(HostCopy { logits, targets }) => {
                let recorded = Batch::new(Vec::<Input>::new(), targets.shallow_clone());
                let check = |what| check_logits(what, logits, &recorded, objective);
                check(format_args!("logits of teacher {modality:?} in host memory"))?;
                objective.rho(logits, targets)?
            }
        };
        if rho.dim() == 0 {
            return Ok(Some(rho));
        }
        let what = format!("confidence ρ of modality {modality:?}");
        let hint = "reduce the confidence to one number per batch, for example its mean";
        Err(error::wrong_shape(what, "a scalar, []", &rho.size(), hint))
    };
    objective.modalities().iter().enumerate().map(rho).collect()
}

/// ρ of every modality as a number; NaN without one.
fn read_confidence(
    teachers: &[Option<TeacherOutput>],
    confidence: &[Option<Tensor>],
    parts: &SplitBatch<'_>,
    guard: &mut FiniteGuard,
) -> Result<Vec<f64>> {
    let scalars: Vec<Tensor> = confidence.iter().flatten().map(Tensor::shallow_clone).collect();
    let values = if teachers.iter().flatten().all(|teacher| teacher.host.is_some()) {
        transfer::read_on_host(&scalars)?
    } else {
        let device = parts.whole().device();
        let sent = scalars.iter().map(|rho| transfer::send(rho, device));
        guard.read(&sent.collect::<Result<Vec<_>>>()?)?
    };
    let mut values = values.into_iter();
    let value = |rho: &Option<Tensor>| rho.as_ref().and_then(|_| values.next()).unwrap_or(f64::NAN);
    Ok(confidence.iter().map(value).collect())
}

/// Refuses a teacher's logits [B, C] that do not match the batch and its targets.
fn check_logits(
    what: Arguments<'_>,
    logits: &Tensor,
    batch: &Batch,
    objective: &Objective,
) -> Result<()> {
    check_output(what, logits, Some(2), batch)?;
    let checked = objective.check_targets(&logits.size(), batch.targets());
    checked.map_err(|error| error.compared_with(&what.to_string()))
}

/// `tensor`, detached if it has a graph.
fn without_graph(tensor: Tensor) -> Tensor {
    if tensor.requires_grad() { tensor.detach() } else { tensor }
}
