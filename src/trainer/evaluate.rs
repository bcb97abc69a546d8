//! Evaluation of a student or a teacher.

use tch::{Device, Tensor};

use super::{G2dTrainer, Precision, forward::check_output, missing::features};
use crate::batch::{Batch, Rows, SplitBatch};
use crate::error::{self, Error, Result};
use crate::metrics;
use crate::modality::Modality;
use crate::student::{Caught, Features, Student};
use crate::teacher::{ProbabilityCheck, Teacher, caught_output};
use crate::transfer;

/// The outputs of a model for a data set of N samples, in host memory.
#[derive(Debug)]
pub struct Predictions {
    /// Logits or predictions [N, C].
    pub logits: Tensor,
    /// Unimodal logits [N, C] of every modality that has them; empty for a teacher.
    pub heads: Vec<(Modality, Tensor)>,
    /// Which samples have a modality, for every modality that some samples lack; empty for a teacher.
    pub present: Vec<(Modality, Vec<bool>)>,
    /// The targets, \[N\] or [N, D].
    pub targets: Tensor,
}

impl Predictions {
    /// Share of samples whose largest logit is that of the target class, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Kind`] if the targets are not class labels; [`Error::NonFinite`] for
    /// logits that are not finite.
    pub fn accuracy(&self) -> Result<f64> {
        metrics::accuracy(&self.logits, &self.targets)
    }

    /// Accuracy of each modality's unimodal logits over the samples that have the modality. A modality
    /// that no sample has is left out.
    ///
    /// # Errors
    /// As `accuracy`.
    pub fn head_accuracy(&self) -> Result<Vec<(Modality, f64)>> {
        let mut found = Vec::with_capacity(self.heads.len());
        for (modality, logits) in &self.heads {
            let flags = self.present.iter().find(|(other, _)| other == modality);
            let rows =
                flags.map_or(Ok(Rows::All), |(_, flags)| Rows::from_present(flags, Device::Cpu))?;
            if !rows.is_missing() {
                let (logits, targets) = (rows.select(logits)?, rows.select(&self.targets)?);
                found.push((modality.clone(), metrics::accuracy(&logits, &targets)?));
            }
        }
        Ok(found)
    }
}

/// Runs a student over `batches` in evaluation mode, without gradient. As in a step, samples may lack
/// modalities.
///
/// # Errors
/// Any error of a batch or of the student; [`Error::Config`] without a batch; [`Error::Shape`] for
/// features, logits or unimodal logits that do not have one row per sample; [`Error::NonFinite`] for
/// logits or unimodal logits that are NaN or infinite.
pub fn evaluate(
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    evaluate_in(Precision::Full, student, batches)
}

impl G2dTrainer {
    /// Runs [`evaluate`] in the trainer's [`Precision`]; logits are returned in `Float`.
    ///
    /// # Errors
    /// As `evaluate`; [`Error::NonFinite`], which names the tensor, for a parameter or running
    /// statistics of the trainer's [`ModalityParams`](crate::ModalityParams) that are NaN or infinite,
    /// and for another buffer with NaN.
    pub fn evaluate(
        &self,
        student: &dyn Student,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Predictions> {
        self.params.variables().check_finite("model to evaluate")?;
        evaluate_in(self.precision(), student, batches)
    }
}

/// Runs a teacher, whose modality has index `m`, over the samples of `batches` that have it.
///
/// # Errors
/// Any error of a batch or of the teacher; [`Error::Config`] without such a sample, and for class labels
/// if the logits are probabilities (every row ≥ 0 with the sum 1); [`Error::Shape`] for logits that are
/// not [B, C]; [`Error::NonFinite`] for logits that are NaN or infinite.
pub fn evaluate_teacher(
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    let _no_grad = tch::no_grad_guard();
    let mut outputs = Outputs::default();
    let what = format!("logits of teacher {:?}", teacher.modality());
    for batch in batches {
        let Some(batch) = batch?.having(m)? else { continue };
        outputs.add(&what, &caught_output(teacher, m, &batch)?.logits, &batch)?;
    }
    let predictions = outputs.join()?;
    let mut check = ProbabilityCheck::default();
    check.add(&predictions.logits, &predictions.targets)?;
    check.finish_on_host(&what)?;
    Ok(predictions)
}

fn evaluate_in(
    precision: Precision,
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    let _no_grad = tch::no_grad_guard();
    let student = &Caught(student);
    let modalities = student.modalities().to_vec();
    let mut outputs = Outputs::default();
    let mut heads: Vec<Head> = modalities.iter().map(|_| Head::default()).collect();
    for batch in batches {
        let batch = batch?;
        batch.check(&modalities, batch.device())?;
        let _region = precision.region(batch.device())?;
        let parts = SplitBatch::new(&batch, modalities.len())?;
        let features = features(student, &parts, |m, part| {
            let features = student.encode(m, part, false)?;
            check_output(
                &format!("features of modality {:?}", modalities[m]),
                &features,
                None,
                part,
            )?;
            Ok(features)
        })?;
        let features = Features::with_rows(&features, parts.rows(), &batch);
        for (m, head) in heads.iter_mut().enumerate() {
            let logits = student.unimodal_logits(m, &features)?;
            let what = format!("unimodal logits of modality {:?}", modalities[m]);
            head.add(&what, logits.map(|logits| precision.widen(logits)).transpose()?, m, &batch)?;
        }
        let logits = student.fuse(&features, false)?;
        outputs.add("logits of the student", &precision.widen(logits)?, &batch)?;
    }
    let mut predictions = outputs.join()?;
    for (modality, Head { logits, without_logits, present }) in modalities.into_iter().zip(heads) {
        if !without_logits {
            predictions.heads.push((modality.clone(), join(&logits)?));
        }
        if present.contains(&false) {
            predictions.present.push((modality, present));
        }
    }
    Ok(predictions)
}

/// Outputs and targets of the batches so far.
#[derive(Default)]
struct Outputs {
    logits: Vec<Tensor>,
    targets: Vec<Tensor>,
}

impl Outputs {
    fn add(&mut self, what: &str, logits: &Tensor, batch: &Batch) -> Result<()> {
        self.logits.push(checked(what, logits, &self.logits, batch)?);
        self.targets.push(to_host(batch.targets())?);
        Ok(())
    }

    fn join(self) -> Result<Predictions> {
        if self.logits.is_empty() {
            let expected = "at least one batch with samples that can be evaluated";
            return Err(error::config("evaluation", expected, "none", "check the loader"));
        }
        let (logits, targets) = (join(&self.logits)?, join(&self.targets)?);
        Ok(Predictions { logits, heads: Vec::new(), present: Vec::new(), targets })
    }
}

/// What is evaluated of one modality in the batches so far.
#[derive(Default)]
struct Head {
    logits: Vec<Tensor>,
    /// Whether some batch has no unimodal logits.
    without_logits: bool,
    present: Vec<bool>,
}

impl Head {
    fn add(&mut self, what: &str, logits: Option<Tensor>, m: usize, batch: &Batch) -> Result<()> {
        match batch.present(m) {
            Some(flags) => self.present.extend(flags),
            None => self.present.resize(self.present.len() + batch.size() as usize, true),
        }
        match logits {
            Some(logits) => self.logits.push(checked(what, &logits, &self.logits, batch)?),
            None => self.without_logits = true,
        }
        Ok(())
    }
}

/// Logits [B, C] in host memory, which must be finite; those of earlier batches are `before`.
fn checked(what: &str, logits: &Tensor, before: &[Tensor], batch: &Batch) -> Result<Tensor> {
    check_output(what, logits, Some(2), batch)?;
    let logits = to_host(logits)?;
    let Some(row) = transfer::first_non_finite_row(&logits)? else { return Ok(logits) };
    let sample = row + before.iter().map(|logits| logits.size()[0]).sum::<i64>();
    let found = format!("NaN or infinity for sample {sample}, counted from 0");
    let hint = "check the weights, the running statistics and the inputs for NaN";
    Err(error::non_finite(what, "finite numbers", found, hint))
}

fn to_host(tensor: &Tensor) -> Result<Tensor> {
    tensor.f_to_device(Device::Cpu).map_err(|e| Error::torch("copy predictions to the host", e))
}

fn join(parts: &[Tensor]) -> Result<Tensor> {
    Tensor::f_cat(parts, 0).map_err(|e| Error::torch("join predictions", e))
}
