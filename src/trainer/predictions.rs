//! The outputs of a model for a data set.

use tch::{Device, Kind, Tensor};

use crate::batch::{Extras, Rows};
use crate::error::{self, Error, Result};
use crate::loss::{G2dLoss, Input};
use crate::metrics;
use crate::modality::Modality;

/// The outputs of a model for a data set of N samples, in host memory.
#[derive(Debug)]
pub struct Predictions {
    /// Logits or predictions [N, C].
    pub logits: Tensor,
    /// Unimodal logits [N, C] of every modality that has them; empty for a teacher.
    pub heads: Vec<(Modality, Tensor)>,
    /// Which samples have a modality, for every modality that some samples lack; empty for a teacher.
    pub present: Vec<(Modality, Vec<bool>)>,
    /// The targets, \[N\] or [N, D]; [N, 0] after [`predict`](super::predict).
    pub targets: Tensor,
    /// The extras [N, …] that every batch has, of one dtype and, without the first dimension, of one
    /// shape: sample weights, targets of further tasks.
    pub extras: Extras,
    /// The sample ids; `None` unless every batch has ids.
    pub ids: Option<Vec<i64>>,
}

impl Predictions {
    /// Predictions of these logits [N, C] and targets, in host memory, and nothing else.
    pub fn new(logits: Tensor, targets: Tensor) -> Self {
        let (heads, present) = (Vec::new(), Vec::new());
        Self { logits, heads, present, targets, extras: Extras::default(), ids: None }
    }

    /// The share of correct predictions, in [0, 1], as [`metrics::accuracy`]: of class labels or of sets of
    /// labels. For another metric pass [`logits`](Self::logits) and [`targets`](Self::targets) to it.
    ///
    /// # Errors
    /// As [every metric](metrics) of a classification.
    pub fn accuracy(&self) -> Result<f64> {
        metrics::accuracy(&self.logits, &self.targets)
    }

    /// Accuracy of each modality's unimodal logits over the samples that have the modality. A modality
    /// that no sample has is left out.
    ///
    /// # Errors
    /// As `accuracy`.
    pub fn head_accuracy(&self) -> Result<Vec<(Modality, f64)>> {
        self.head_metric(metrics::accuracy)
    }

    /// A metric of logits and targets for each modality's unimodal logits over the samples that have the
    /// modality, for example `predictions.head_metric(metrics::auroc)`. A modality that no sample has is
    /// left out.
    ///
    /// # Errors
    /// Any error of the metric.
    pub fn head_metric(
        &self,
        metric: impl Fn(&Tensor, &Tensor) -> Result<f64>,
    ) -> Result<Vec<(Modality, f64)>> {
        self.each_head(|logits, rows| metric(logits, &rows.select(&self.targets)?))
    }

    /// L_S of the fused logits over all samples, without teacher terms: for example the validation loss.
    /// A weighted mean is over the weights of all samples, not a mean of the batches' means.
    ///
    /// # Errors
    /// Any error of the loss, which checks the targets.
    pub fn loss(&self, loss: &dyn G2dLoss) -> Result<f64> {
        task_loss(loss, &self.logits, &self.targets, &self.extras)
    }

    /// L_S of each modality's unimodal logits over the samples that have the modality. A modality that no
    /// sample has is left out.
    ///
    /// # Errors
    /// As `loss`.
    pub fn head_losses(&self, loss: &dyn G2dLoss) -> Result<Vec<(Modality, f64)>> {
        self.each_head(|logits, rows| {
            let targets = rows.select(&self.targets)?;
            task_loss(loss, logits, &targets, &self.extras.select(rows)?)
        })
    }

    /// The predictions of the samples whose class label is not `ignored`, the label of samples to ignore
    /// ([`Classification::ignore_index`](crate::loss::Classification::ignore_index)).
    ///
    /// # Errors
    /// [`Error::Kind`] or [`Error::Shape`] for targets other than `Int64` \[N\], [`Error::Target`] if no
    /// sample is left.
    pub fn labelled(&self, ignored: i64) -> Result<Self> {
        if self.targets.kind() != Kind::Int64 {
            let (expected, hint) = ("Int64 class labels", "only these have a label to ignore");
            return Err(error::wrong_kind("targets", expected, self.targets.kind(), hint));
        }
        if self.targets.dim() != 1 {
            let hint = "only class labels have one to ignore";
            let size = self.targets.size();
            return Err(error::wrong_shape("targets", "[N], class labels", &size, hint));
        }
        let labels = Vec::<i64>::try_from(&self.targets);
        let labels = labels.map_err(|e| Error::torch("read the targets", e))?;
        let kept: Vec<bool> = labels.iter().map(|&label| label != ignored).collect();
        let rows = Rows::from_present(&kept, Device::Cpu)?;
        if rows.is_missing() {
            let (expected, hint) =
                (format!("a label other than {ignored}"), "evaluate labelled data");
            return Err(error::target("targets", expected, "none", hint));
        }
        let heads = self.heads.iter().map(|(m, logits)| Ok((m.clone(), rows.select(logits)?)));
        let present = self.present.iter().map(|(m, flags)| (m.clone(), filter(flags, &kept)));
        Ok(Self {
            logits: rows.select(&self.logits)?,
            heads: heads.collect::<Result<_>>()?,
            present: present.collect(),
            targets: rows.select(&self.targets)?,
            extras: self.extras.select(&rows)?,
            ids: self.ids.as_ref().map(|ids| filter(ids, &kept)),
        })
    }

    /// `value` of each modality's unimodal logits of the samples that have it, which are in `rows`.
    fn each_head(
        &self,
        value: impl Fn(&Tensor, &Rows) -> Result<f64>,
    ) -> Result<Vec<(Modality, f64)>> {
        let mut found = Vec::with_capacity(self.heads.len());
        for (modality, logits) in &self.heads {
            let flags = self.present.iter().find(|(other, _)| other == modality);
            let rows =
                flags.map_or(Ok(Rows::All), |(_, flags)| Rows::from_present(flags, Device::Cpu))?;
            if !rows.is_missing() {
                found.push((modality.clone(), value(&rows.select(logits)?, &rows)?));
            }
        }
        Ok(found)
    }
}

/// L_S of logits [N, C].
fn task_loss(
    loss: &dyn G2dLoss,
    logits: &Tensor,
    targets: &Tensor,
    extras: &Extras,
) -> Result<f64> {
    loss.check_targets(&logits.size(), targets)?;
    let terms = loss.terms(&Input {
        modalities: &[],
        logits,
        features: &[],
        teachers: &[],
        unimodal: &[],
        rows: &[],
        targets,
        extras,
    })?;
    f64::try_from(terms.task).map_err(|e| Error::torch("read a loss", e))
}

fn filter<T: Copy>(values: &[T], kept: &[bool]) -> Vec<T> {
    values.iter().zip(kept).filter(|(_, kept)| **kept).map(|(value, _)| *value).collect()
}
