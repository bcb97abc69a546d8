//! What a probe is shown of a step.

use std::{cell::OnceCell, fmt};

use tch::Tensor;

use crate::{
    Batch, Confidence, Error, G2dLoss, LossInput, LossTerms, Modality, ModalityParams, Progress,
    Result, Rows, StepReport, Student, TeacherOutput, Window, error,
};

/// The loss of a step before its backward: the only time at which a term alone can be differentiated.
#[derive(Debug)]
pub struct SeenTerms<'a> {
    /// Where the step stands.
    pub at: Progress,
    /// Where it stands among the micro-batches of one step of the optimizer: it is the last.
    pub window: Window,
    /// The modalities, in the student's order.
    pub modalities: &'a [Modality],
    /// The loss term by term, connected to its graph.
    pub terms: &'a LossTerms,
    /// The rows of the batch that have each modality.
    pub rows: &'a [Rows],
    /// The encoders' parameters.
    pub params: &'a ModalityParams,
}

impl SeenTerms<'_> {
    /// The gradients of the scalar `term` for every encoder's parameters, in the order of
    /// [`ModalityParams::encoder`]; undefined where the term does not reach a parameter, and for no
    /// term at all. One backward; the graph and the parameters' own gradients stay as they are.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn gradients(&self, term: Option<&Tensor>) -> Result<Vec<Vec<Tensor>>> {
        let undefined = || self.each(|_| Tensor::new());
        let Some(term) = term.filter(|term| term.requires_grad()) else { return Ok(undefined()) };
        let learns: Vec<&Tensor> = (0..self.modalities.len())
            .flat_map(|m| self.params.encoder(m))
            .map(|(_, tensor)| tensor)
            .filter(|tensor| tensor.requires_grad())
            .collect();
        if learns.is_empty() {
            return Ok(undefined());
        }
        let mut found = Tensor::f_run_backward(&[term], &learns, true, false)
            .map_err(|source| Error::torch("differentiate a term of the loss", source))?
            .into_iter();
        Ok(self.each(|tensor| match tensor.requires_grad() {
            true => found.next().unwrap_or_else(Tensor::new),
            false => Tensor::new(),
        }))
    }

    fn each(&self, mut of: impl FnMut(&Tensor) -> Tensor) -> Vec<Vec<Tensor>> {
        (0..self.modalities.len())
            .map(|m| self.params.encoder(m).iter().map(|(_, tensor)| of(tensor)).collect())
            .collect()
    }
}

/// All that there is to see in a step.
pub struct Observation<'a> {
    /// Position, plan, loss terms, ρ and fused logits, detached.
    pub report: &'a StepReport,
    /// The modalities, in the student's order.
    pub modalities: &'a [Modality],
    /// The batch.
    pub batch: &'a Batch,
    /// The encoders' parameters with the gradients that the optimizer will see.
    pub params: &'a ModalityParams,
    /// The rows of the batch that have each modality.
    pub rows: &'a [Rows],
    /// The student's features [B, d_m], detached; zeros where a sample lacks m.
    pub features: &'a [Tensor],
    /// The teachers' answers on the `rows` of their modalities, or none at all; `None` for a modality
    /// that the whole batch lacks.
    pub teachers: &'a [Option<TeacherOutput>],
    pub(crate) student: &'a dyn Student,
    pub(crate) loss: &'a dyn G2dLoss,
    pub(crate) confidence: Option<&'a dyn Confidence>,
    /// Unimodal logits [B, C], computed for the first probe that asks.
    pub(crate) heads: OnceCell<Vec<Option<Tensor>>>,
}

impl Observation<'_> {
    /// What modality `m` alone would predict, [B_m, C], on the rows that have it; `None` if none has,
    /// or the student cannot say it. Computed once a step, for all probes that ask.
    ///
    /// # Errors
    /// [`Error::Shape`] if the student's answer does not have B rows of C.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn unimodal_logits(&self, m: usize) -> Result<Option<Tensor>> {
        if self.rows[m].is_missing() {
            return Ok(None);
        }
        let heads = self.heads.get_or_init(|| {
            let head = |m| self.student.unimodal_logits(m, self.features);
            (0..self.modalities.len()).map(head).collect()
        });
        let Some(logits) = &heads[m] else { return Ok(None) };
        let (found, expected) = (logits.size(), self.report.logits.size());
        if found != expected {
            return Err(error::shape(
                format!("unimodal logits of modality {:?}", self.modalities[m]),
                format!("{expected:?}, like the fused logits"),
                format!("{found:?}"),
                "mend `Student::unimodal_logits`",
            ));
        }
        self.rows[m].select(logits).map(Some)
    }

    /// The targets of the samples that have modality `m`.
    ///
    /// # Errors
    /// [`Error::Torch`].
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn targets(&self, m: usize) -> Result<Tensor> {
        self.rows[m].select(self.batch.targets())
    }

    /// ρ of logits [B, C] beside their targets, by the formula that the trainer ranks by: a scalar.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match self.confidence {
            None => self.loss.confidence(logits, targets),
            Some(confidence) => confidence.of(logits, targets),
        }
    }

    /// L_S of `logits` [B_m, C] on the rows that have modality `m`: a scalar, without teachers.
    ///
    /// # Errors
    /// Whatever the loss finds wrong.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn task_loss(&self, m: usize, logits: &Tensor) -> Result<Tensor> {
        let select = |features: &Tensor| self.rows[m].select(features);
        let terms = self.loss.terms(&LossInput {
            modalities: self.modalities,
            logits,
            features: &self.features.iter().map(select).collect::<Result<Vec<_>>>()?,
            teachers: &[],
            rows: &Rows::all(self.modalities.len()),
            targets: &self.targets(m)?,
        })?;
        Ok(terms.task)
    }
}

impl fmt::Debug for Observation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("report", &self.report)
            .field("modalities", &self.modalities)
            .finish_non_exhaustive()
    }
}
