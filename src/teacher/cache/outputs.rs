//! Runs a teacher over a data set and checks its outputs.

use std::collections::HashSet;

use tch::{Kind, TchError, Tensor};

use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::teacher::{ProbabilityCheck, Teacher, caught_output};
use crate::transfer;

/// A teacher's outputs for a batch, and its targets; one row per sample.
pub(super) struct Outputs {
    pub ids: Vec<i64>,
    pub features: Tensor,
    pub logits: Tensor,
    pub targets: Tensor,
}

/// Shape without the rows, and dtype, of features, logits and targets.
type Forms = [(Vec<i64>, Kind); 3];

/// Passes the outputs for every batch to `take`, without the samples that lack modality `m`.
pub(super) fn for_each(
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
    mut take: impl FnMut(Outputs) -> Result<()>,
) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    let what = format!("teacher {:?}", teacher.modality());
    let mut seen = HashSet::new();
    let mut first: Option<Forms> = None;
    let (mut finite, mut probabilities) = (Vec::new(), ProbabilityCheck::default());
    for batch in batches {
        let Some(batch) = batch?.having(m)? else { continue };
        let ids = sample_ids(&batch, &what)?.to_vec();
        let output = caught_output(teacher, m, &batch)?;
        let outputs = Outputs {
            ids,
            features: output.features.detach(),
            logits: output.logits.detach(),
            targets: batch.targets().detach(),
        };
        outputs.check(&what)?;
        let forms = outputs.forms();
        finite.extend(outputs.finite().map_err(|e| Error::torch("check teacher outputs", e))?);
        probabilities.add(&outputs.logits, &outputs.targets)?;
        check_same(first.get_or_insert_with(|| forms.clone()), &forms, &what)?;
        for &id in &outputs.ids {
            if !seen.insert(id) {
                let found = format!("id {id} twice");
                let hint = "record one pass over the samples, each with its own id";
                return Err(error::cache(what, "every sample once", found, hint));
            }
        }
        take(outputs)?;
    }
    if seen.is_empty() {
        let expected = "at least one batch with samples that have its modality";
        return Err(error::cache(what, expected, "none", "pass the training set"));
    }
    if let Some(i) = transfer::read_scalars(&finite)?.iter().position(|&finite| finite == 0.0) {
        let part = ["features", "logits"][i % 2];
        let found = format!("NaN or infinity in batch {}, counted from 0", i / 2);
        let hint = "check the teacher's weights, its running statistics and the inputs";
        return Err(error::non_finite(cached(part, &what), "finite numbers", found, hint));
    }
    probabilities.finish(&cached("logits", &what))
}

/// The sample ids of a batch for the cache of a teacher.
pub(super) fn sample_ids<'a>(batch: &'a Batch, teacher: &str) -> Result<&'a [i64]> {
    let hint = "add them with `Batch::with_ids`";
    batch.ids().ok_or_else(|| error::cache(teacher, "a batch with sample ids", "none", hint))
}

impl Outputs {
    fn parts(&self) -> [(&'static str, &Tensor); 3] {
        [("features", &self.features), ("logits", &self.logits), ("targets", &self.targets)]
    }

    fn forms(&self) -> Forms {
        self.parts().map(|(_, part)| (part.size()[1..].to_vec(), part.kind()))
    }

    /// Whether features and logits are finite, as scalars on their device.
    fn finite(&self) -> std::result::Result<[Tensor; 2], TchError> {
        Ok([self.features.f_isfinite()?.f_all()?, self.logits.f_isfinite()?.f_all()?])
    }

    /// Refuses parts that do not have one row per id, features that are not [B, d, …] and logits that
    /// are not [B, C].
    fn check(&self, teacher: &str) -> Result<()> {
        let rows = self.ids.len() as i64;
        let shape = |part: &str, expected: &str, tensor: &Tensor, hint: &str| -> Error {
            error::wrong_shape(cached(part, teacher), expected, &tensor.size(), hint)
        };
        for (part, tensor) in self.parts() {
            if tensor.size().first() != Some(&rows) {
                let hint = "every sample of the batch needs an id, a target and a teacher output";
                return Err(shape(part, &format!("[{rows}, …], one row per id"), tensor, hint));
            }
        }
        let hint = "correct the teacher";
        if self.features.dim() < 2 || self.features.size().contains(&0) {
            return Err(shape("features", "[B, d, …] without a 0", &self.features, hint));
        }
        if self.logits.dim() != 2 || self.logits.size()[1] == 0 {
            return Err(shape("logits", "[B, C] with C of at least 1", &self.logits, hint));
        }
        for (part, tensor) in [("features", &self.features), ("logits", &self.logits)] {
            if !tensor.is_floating_point() {
                let (what, expected) = (cached(part, teacher), "a floating-point dtype");
                return Err(error::wrong_kind(what, expected, tensor.kind(), hint));
            }
        }
        Ok(())
    }
}

/// Refuses a batch whose outputs differ in shape or dtype from those of the first batch.
fn check_same(first: &Forms, forms: &Forms, teacher: &str) -> Result<()> {
    let pairs = ["features", "logits", "targets"].iter().zip(first.iter().zip(forms));
    match pairs.into_iter().find(|(_, (first, form))| first != form) {
        None => Ok(()),
        Some((part, (first, form))) => Err(error::shape(
            cached(part, teacher),
            format!("rows of {:?} {:?}, as in the first batch", first.0, first.1),
            format!("{:?} {:?}", form.0, form.1),
            "record samples of one shape and dtype",
        )),
    }
}

fn cached(part: &str, teacher: &str) -> String {
    format!("{part} in the cache of {teacher}")
}
