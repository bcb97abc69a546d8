//! Evaluation of a student or a teacher.

use tch::{Device, Tensor};

use super::{
    G2dTrainer, Precision, Predictions, forward::check_output, gathered, missing::features,
};
use crate::batch::{Batch, Extras, SplitBatch};
use crate::error::{self, Error, Result};
use crate::ranks::Call;
use crate::student::{Caught, Features, Student};
use crate::teacher::{ProbabilityCheck, Teacher, caught_output};
use crate::transfer;

/// Runs a student over `batches` in evaluation mode, without gradient. As in a step, samples may lack
/// modalities.
///
/// # Errors
/// Any error of a batch or of the student; [`Error::Config`] without a batch; [`Error::Shape`] for
/// features, logits or unimodal logits that do not have one row per sample, and for a batch without
/// targets; [`Error::NonFinite`] for logits or unimodal logits that are NaN or infinite.
pub fn evaluate(
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    evaluate_in(Precision::Full, student, batches)
}

/// Runs [`evaluate`] in a precision.
pub(crate) fn evaluate_in(
    precision: Precision,
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    run(precision, student, with_targets(batches))
}

/// Runs a student as [`evaluate`] does, over batches that need no targets
/// ([`Batch::without_targets`]). The predictions have logits, unimodal logits and ids; their targets are
/// [N, 0], which every metric refuses.
///
/// # Errors
/// As `evaluate`, except for the targets.
pub fn predict(
    student: &dyn Student,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    run(Precision::Full, student, without_targets(batches))
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

    /// Runs [`evaluate`](Self::evaluate) on every rank of the trainer's group, each over batches of its own, and
    /// returns the predictions for all of them, one rank after the other, on every rank: metrics are those of
    /// all samples, exactly. [`Part::rows`](crate::data::Part::rows) divides a data set. Without a group it is
    /// `evaluate`.
    ///
    /// # Errors
    /// As `evaluate`; [`Error::Rank`] for an error of another rank.
    pub fn evaluate_on_all_ranks(
        &self,
        student: &dyn Student,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Predictions> {
        let (own, steps) = (self.evaluate(student, batches), self.progress.total_steps);
        let (own, _) = self.ranks.agree(Call::Evaluate, steps, own, |_| Vec::new())?;
        gathered::gather(&self.ranks, own)
    }

    /// Runs [`predict`] in the trainer's [`Precision`]; logits are returned in `Float`.
    ///
    /// # Errors
    /// As `predict`, and as [`evaluate`](Self::evaluate) for a model that is not finite.
    pub fn predict(
        &self,
        student: &dyn Student,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Predictions> {
        self.params.variables().check_finite("model to predict with")?;
        run(self.precision(), student, without_targets(batches))
    }
}

/// Runs a teacher, whose modality has index `m`, over the samples of `batches` that have it.
///
/// # Errors
/// Any error of a batch or of the teacher; [`Error::Config`] without such a sample, and for class labels
/// if the logits are probabilities (every row ≥ 0 with the sum 1); [`Error::Shape`] for logits that are
/// not [B, C], and for a batch without targets; [`Error::NonFinite`] for logits that are NaN or infinite.
pub fn evaluate_teacher(
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> Result<Predictions> {
    let _no_grad = tch::no_grad_guard();
    let mut outputs = Outputs::default();
    let what = format!("logits of teacher {:?}", teacher.modality());
    for batch in with_targets(batches) {
        let Some(batch) = batch?.having(m)? else { continue };
        outputs.add(&what, &caught_output(teacher, m, &batch)?.logits, &batch)?;
    }
    let predictions = outputs.join()?;
    let mut check = ProbabilityCheck::default();
    check.add(&predictions.logits, &predictions.targets)?;
    check.finish_on_host(&what)?;
    Ok(predictions)
}

fn with_targets(
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> impl Iterator<Item = Result<Batch>> {
    let check = |batch: Batch| match batch.has_targets() {
        true => Ok(batch),
        false => {
            let hint = "use `predict` for batches without targets";
            let size = batch.targets().size();
            Err(error::wrong_shape("targets", "the targets of the batch", &size, hint))
        }
    };
    batches.into_iter().map(move |batch| batch.and_then(check))
}

fn without_targets(
    batches: impl IntoIterator<Item = Result<Batch>>,
) -> impl Iterator<Item = Result<Batch>> {
    batches.into_iter().map(|batch| batch.and_then(Batch::drop_targets))
}

fn run(
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
            let check = |what| check_output(what, &features, None, part);
            check(format_args!("features of modality {:?}", modalities[m]))?;
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

/// Outputs, targets, extras and ids of the batches so far.
#[derive(Default)]
struct Outputs {
    logits: Vec<Tensor>,
    targets: Vec<Tensor>,
    extras: Vec<Extras>,
    /// `None` where a batch has no ids.
    ids: Vec<Option<Vec<i64>>>,
}

impl Outputs {
    fn add(&mut self, what: &str, logits: &Tensor, batch: &Batch) -> Result<()> {
        self.logits.push(checked(what, logits, &self.logits, batch)?);
        self.targets.push(to_host(batch.targets())?);
        self.extras.push(batch.extras().map(to_host)?);
        self.ids.push(batch.ids().map(<[i64]>::to_vec));
        Ok(())
    }

    fn join(self) -> Result<Predictions> {
        let Some(first) = self.extras.first() else {
            let expected = "at least one batch with samples that can be evaluated";
            return Err(error::config("evaluation", expected, "none", "check the loader"));
        };
        let mut extras = Extras::default();
        let form = |tensor: &Tensor| (tensor.kind(), tensor.size()[1..].to_vec());
        for (name, tensor) in first.iter() {
            let own = self.extras.iter().filter_map(|extras| extras.get(name).ok());
            let own: Vec<Tensor> =
                own.filter(|own| form(own) == form(tensor)).map(Tensor::shallow_clone).collect();
            if own.len() == self.extras.len() {
                extras.insert(name, join(&own)?);
            }
        }
        let (logits, targets) = (join(&self.logits)?, join(&self.targets)?);
        let ids = self.ids.into_iter().collect::<Option<Vec<_>>>().map(|ids| ids.concat());
        Ok(Predictions { extras, ids, ..Predictions::new(logits, targets) })
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
