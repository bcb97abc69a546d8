//! A student's answers without training it.

use tch::{Device, Tensor};

use crate::{Batch, Error, Modality, Result, Student, Teacher, error, metrics};

/// What a model said of a data set, in host memory.
#[derive(Debug)]
pub struct Predictions {
    /// Logits or predictions [N, C].
    pub logits: Tensor,
    /// Unimodal logits [N, C] of every modality whose head can say them; empty for a teacher.
    pub heads: Vec<(Modality, Tensor)>,
    /// The targets, [N] or [N, D].
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

    /// The same for each modality's head alone.
    ///
    /// # Errors
    /// As `accuracy`.
    pub fn head_accuracy(&self) -> Result<Vec<(Modality, f64)>> {
        let each = self.heads.iter();
        each.map(|(m, logits)| Ok((m.clone(), metrics::accuracy(logits, &self.targets)?))).collect()
    }
}

/// Runs the student over `batches` in evaluation mode, without gradient.
///
/// # Errors
/// Any error of a batch or of the student; [`Error::Config`] without a batch.
pub fn evaluate(
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    let _no_grad = tch::no_grad_guard();
    let modalities = student.modalities().to_vec();
    let mut rows = Rows::default();
    let mut heads: Vec<Option<Vec<Tensor>>> = modalities.iter().map(|_| Some(Vec::new())).collect();
    for batch in batches {
        let batch = batch?;
        batch.check(&modalities, batch.device())?;
        let features = (0..modalities.len())
            .map(|m| student.encode(m, &batch, false))
            .collect::<Result<Vec<_>>>()?;
        for (m, parts) in heads.iter_mut().enumerate() {
            match (student.unimodal_logits(m, &features), &mut *parts) {
                (Some(logits), Some(parts)) => parts.push(to_host(&logits)?),
                _ => *parts = None,
            }
        }
        rows.push(&student.fuse(&features, false)?, batch.targets())?;
    }
    let mut predictions = rows.join()?;
    for (modality, parts) in modalities.into_iter().zip(heads) {
        if let Some(parts) = parts {
            predictions.heads.push((modality, cat(&parts)?));
        }
    }
    Ok(predictions)
}

/// Runs a teacher, whose modality has index `m`, over `batches`.
///
/// # Errors
/// Any error of a batch or of the teacher; [`Error::Config`] without a batch.
pub fn evaluate_teacher(
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    let _no_grad = tch::no_grad_guard();
    let mut rows = Rows::default();
    for batch in batches {
        let batch = batch?;
        rows.push(&teacher.output(m, &batch)?.logits, batch.targets())?;
    }
    rows.join()
}

#[derive(Default)]
struct Rows {
    logits: Vec<Tensor>,
    targets: Vec<Tensor>,
}

impl Rows {
    fn push(&mut self, logits: &Tensor, targets: &Tensor) -> Result<()> {
        self.logits.push(to_host(logits)?);
        self.targets.push(to_host(targets)?);
        Ok(())
    }

    fn join(self) -> Result<Predictions> {
        if self.logits.is_empty() {
            return Err(error::config(
                "evaluation",
                "at least one batch",
                "none",
                "check the loader",
            ));
        }
        Ok(Predictions {
            logits: cat(&self.logits)?,
            heads: Vec::new(),
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
