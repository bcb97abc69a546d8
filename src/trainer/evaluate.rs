//! A student's answers without training it.

use tch::{Device, Tensor};

use super::{G2dTrainer, Precision, missing::features};
use crate::{
    batch::{Batch, Rows, SplitBatch},
    error::{self, Error, Result},
    metrics,
    modality::Modality,
    student::Student,
    teacher::Teacher,
};

/// What a model said of a data set, in host memory.
#[derive(Debug)]
pub struct Predictions {
    /// Logits or predictions [N, C].
    pub logits: Tensor,
    /// Unimodal logits [N, C] of every modality whose head can say them; empty for a teacher.
    pub heads: Vec<(Modality, Tensor)>,
    /// Which of the N samples have a modality, for every modality that some lack; empty for a teacher.
    pub present: Vec<(Modality, Vec<bool>)>,
    /// The targets, \[N\] or [N, D].
    pub targets: Tensor,
}

impl Predictions {
    /// Share of samples whose largest logit is the target's, in [0, 1].
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Kind`] if the targets are no class labels.
    pub fn accuracy(&self) -> Result<f64> {
        metrics::accuracy(&self.logits, &self.targets)
    }

    /// The same for each modality's head alone, over the samples that have the modality; one that no
    /// sample has is left out.
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

/// Runs the student over `batches` in evaluation mode, without gradient. Samples may lack modalities,
/// as in a step.
///
/// # Errors
/// Any error of a batch or of the student; [`Error::Config`] without a batch.
pub fn evaluate(
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    evaluate_in(Precision::Full, student, batches)
}

impl G2dTrainer {
    /// [`evaluate`] in the trainer's [`Precision`]; logits come back in `Float`.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn evaluate(
        &self,
        student: &dyn Student,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Predictions> {
        evaluate_in(self.precision(), student, batches)
    }
}

fn evaluate_in(
    precision: Precision,
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    let _no_grad = tch::no_grad_guard();
    let modalities = student.modalities().to_vec();
    let mut rows = Joined::default();
    let mut heads: Vec<Option<Vec<Tensor>>> = modalities.iter().map(|_| Some(Vec::new())).collect();
    let mut present: Vec<Vec<bool>> = vec![Vec::new(); modalities.len()];
    for batch in batches {
        let batch = batch?;
        batch.check(&modalities, batch.device())?;
        let _region = precision.region(batch.device())?;
        let parts = SplitBatch::new(&batch, modalities.len())?;
        let features = features(student, &parts, |m, part| student.encode(m, part, false))?;
        for (m, flags) in present.iter_mut().enumerate() {
            match batch.present(m) {
                Some(own) => flags.extend(own),
                None => flags.resize(flags.len() + batch.size() as usize, true),
            }
        }
        for (m, parts) in heads.iter_mut().enumerate() {
            match (student.unimodal_logits(m, &features), &mut *parts) {
                (Some(logits), Some(parts)) => parts.push(to_host(&precision.widen(logits)?)?),
                _ => *parts = None,
            }
        }
        rows.push(&precision.widen(student.fuse(&features, false)?)?, batch.targets())?;
    }
    let mut predictions = rows.join()?;
    let lacking = modalities.iter().cloned().zip(present);
    predictions.present = lacking.filter(|(_, flags)| flags.contains(&false)).collect();
    for (modality, parts) in modalities.into_iter().zip(heads) {
        if let Some(parts) = parts {
            predictions.heads.push((modality, cat(&parts)?));
        }
    }
    Ok(predictions)
}

/// Runs a teacher, whose modality has index `m`, over the samples of `batches` that have it.
///
/// # Errors
/// Any error of a batch or of the teacher; [`Error::Config`] without such a sample.
pub fn evaluate_teacher(
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    let _no_grad = tch::no_grad_guard();
    let mut rows = Joined::default();
    for batch in batches {
        let Some(batch) = batch?.having(m)? else { continue };
        rows.push(&teacher.output(m, &batch)?.logits, batch.targets())?;
    }
    rows.join()
}

#[derive(Default)]
struct Joined {
    logits: Vec<Tensor>,
    targets: Vec<Tensor>,
}

impl Joined {
    fn push(&mut self, logits: &Tensor, targets: &Tensor) -> Result<()> {
        self.logits.push(to_host(logits)?);
        self.targets.push(to_host(targets)?);
        Ok(())
    }

    fn join(self) -> Result<Predictions> {
        if self.logits.is_empty() {
            return Err(error::config(
                "evaluation",
                "at least one batch with samples that can be evaluated",
                "none",
                "check the loader",
            ));
        }
        Ok(Predictions {
            logits: cat(&self.logits)?,
            heads: Vec::new(),
            present: Vec::new(),
            targets: cat(&self.targets)?,
        })
    }
}

fn to_host(tensor: &Tensor) -> Result<Tensor> {
    tensor.f_to_device(Device::Cpu).map_err(|e| Error::torch("copy predictions to the host", e))
}

fn cat(parts: &[Tensor]) -> Result<Tensor> {
    Tensor::f_cat(parts, 0).map_err(|e| Error::torch("join predictions", e))
}
