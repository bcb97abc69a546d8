//! From teachers to ρ to a plan.

use tch::Tensor;

use super::{G2dTrainer, NonFinite, check::check_rows};
use crate::{
    Batch, Candidates, HostView, Plan, Result, Teacher, TeacherOutput, error, host, parts::Parts,
};

impl G2dTrainer {
    /// The teachers' answers about the samples that have their modality, checked and outside the
    /// graph; `None` where no sample has it.
    pub(super) fn ask_teachers(&self, parts: &Parts<'_>) -> Result<Vec<Option<TeacherOutput>>> {
        let _no_grad = tch::no_grad_guard();
        let ask = |m: usize, teacher: &dyn Teacher| {
            let Some(batch) = parts.get(m) else { return Ok(None) };
            let region = self.precision.region(batch.device())?;
            let output = teacher.output(m, batch)?;
            drop(region);
            let what = format!("features of teacher {:?}", self.modalities[m]);
            check_rows(&what, &output.features, None, batch)?;
            let what = format!("logits of teacher {:?}", self.modalities[m]);
            self.check_logits_of(&what, &output.logits, batch)?;
            Ok(Some(TeacherOutput {
                features: self.precision.widened(output.features.detach())?,
                logits: self.precision.widened(output.logits.detach())?,
                host: output.host.map(|view| self.widened(view)).transpose()?,
            }))
        };
        self.teachers.iter().enumerate().map(|(m, teacher)| ask(m, teacher.as_ref())).collect()
    }

    fn widened(&self, view: HostView) -> Result<HostView> {
        Ok(HostView { logits: self.precision.widened(view.logits)?, targets: view.targets })
    }

    /// Refuses a teacher's logits [B, C] that do not fit the batch and its targets.
    fn check_logits_of(&self, what: &str, logits: &Tensor, batch: &Batch) -> Result<()> {
        check_rows(what, logits, Some(2), batch)?;
        let checked = self.loss.check_targets(&logits.size(), batch.targets());
        checked.map_err(|error| error.beside(what))
    }

    /// ρ of every modality, in host memory where its teacher's answer is there, else on the device;
    /// `None` without its teacher or in its absence.
    pub(super) fn confidences(
        &self,
        teachers: &[Option<TeacherOutput>],
        parts: &Parts<'_>,
    ) -> Result<Vec<Option<Tensor>>> {
        let _no_grad = tch::no_grad_guard();
        let rho = |m: usize| match (teachers.get(m), parts.get(m)) {
            (Some(Some(teacher)), Some(batch)) => match &teacher.host {
                Some(view) => self.rho_on_host(m, view).map(Some),
                None => self.rho(m, &teacher.logits, batch.targets()).map(Some),
            },
            _ => Ok(None),
        };
        (0..self.modalities.len()).map(rho).collect()
    }

    /// ρ of modality `m` from host memory, whose copies nobody has checked yet.
    fn rho_on_host(&self, m: usize, view: &HostView) -> Result<Tensor> {
        let what = format!("logits of teacher {:?} in host memory", self.modalities[m]);
        let recorded = Batch::new([], view.targets.shallow_clone());
        self.check_logits_of(&what, &view.logits, &recorded)?;
        self.rho(m, &view.logits, &view.targets)
    }

    /// ρ of modality `m` by the loss, or by what the builder was given instead.
    fn rho(&self, m: usize, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let rho = match &self.confidence {
            None => self.loss.confidence(logits, targets)?,
            Some(confidence) => confidence.of(logits, targets)?,
        };
        if rho.size().is_empty() {
            return Ok(rho);
        }
        Err(error::shape(
            format!("confidence ρ of modality {:?}", self.modalities[m]),
            "a scalar, []",
            format!("{:?}", rho.size()),
            "let the confidence be one number for the batch, a mean say",
        ))
    }

    /// ρ where the report wants it; nothing waits.
    pub(super) fn on_device(&self, confidence: Vec<Option<Tensor>>) -> Result<Vec<Option<Tensor>>> {
        let device = self.params.device();
        let send = |rho: Option<Tensor>| rho.map(|rho| host::send(&rho, device)).transpose();
        confidence.into_iter().map(send).collect()
    }

    /// Asks the scheduler; reads ρ only where it wants it, from host memory where it is there.
    pub(super) fn plan(
        &mut self,
        teachers: &[Option<TeacherOutput>],
        confidence: &[Option<Tensor>],
        parts: &Parts<'_>,
    ) -> Result<Plan> {
        let k = self.modalities.len();
        let missing = || (0..k).filter(|&m| parts.rows()[m].is_missing());
        let candidates = if self.scheduler.reads_confidence(self.progress) {
            let rho = self.read_confidence(teachers, confidence)?;
            let mut asked = rho.iter().zip(confidence).filter(|(_, rho)| rho.is_some());
            if asked.any(|(rho, _)| !rho.is_finite()) {
                if self.non_finite == NonFinite::Error {
                    return Err(self.unranked(teachers, confidence, parts.whole())?);
                }
                // Nobody can be ranked: the step will be skipped, and its report says why.
                let mut plan = Plan::joint(k);
                missing().for_each(|m| plan.stop(m));
                return Ok(plan);
            }
            Candidates::of(rho)
        } else {
            Candidates::unread(k)
        };
        let candidates = missing().fold(candidates, Candidates::without);
        let mut plan = self.scheduler.plan(self.progress, &candidates)?;
        if plan.kappa().len() != k {
            return Err(error::config(
                "plan of the scheduler",
                format!("{k} κ, one for each of {:?}", self.modalities),
                format!("{}", plan.kappa().len()),
                "mend the scheduler",
            ));
        }
        missing().for_each(|m| plan.stop(m));
        Ok(plan)
    }

    /// ρ of every modality as a number; NaN for those that are missing or have no teacher.
    fn read_confidence(
        &mut self,
        teachers: &[Option<TeacherOutput>],
        confidence: &[Option<Tensor>],
    ) -> Result<Vec<f64>> {
        let scalars: Vec<Tensor> = confidence.iter().flatten().map(Tensor::shallow_clone).collect();
        let values = if teachers.iter().flatten().all(|teacher| teacher.host.is_some()) {
            host::read_on_host(&scalars)?
        } else {
            let device = self.params.device();
            let sent = scalars.iter().map(|rho| host::send(rho, device));
            self.read_unread(&sent.collect::<Result<Vec<_>>>()?)?
        };
        let mut all = vec![f64::NAN; self.modalities.len()];
        let places = confidence.iter().enumerate().filter(|(_, rho)| rho.is_some());
        places.zip(values).for_each(|((m, _), value)| all[m] = value);
        Ok(all)
    }
}
