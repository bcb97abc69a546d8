//! What a teacher says over a loader, checked batch by batch.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use crate::{
    batch::Batch,
    error::{self, Result},
    teacher::Teacher,
};

/// Of one batch; rows are samples.
pub(super) struct Answers {
    pub ids: Vec<i64>,
    pub features: Tensor,
    pub logits: Tensor,
    pub targets: Tensor,
}

impl Answers {
    fn parts(&self) -> [(&'static str, &Tensor); 3] {
        [("features", &self.features), ("logits", &self.logits), ("targets", &self.targets)]
    }
}

/// Hands `take` the answers about every batch, but for samples that lack modality `m`; returns in
/// which row each id stands.
pub(super) fn each(
    teacher: &dyn Teacher,
    m: usize,
    batches: impl IntoIterator<Item = Result<Batch>>,
    mut take: impl FnMut(Answers) -> Result<()>,
) -> Result<HashMap<i64, i64>> {
    let _no_grad = tch::no_grad_guard();
    let what = format!("teacher {:?}", teacher.modality());
    let mut rows = HashMap::new();
    let mut first = None;
    for batch in batches {
        let Some(batch) = batch?.having(m)? else { continue };
        let Some(ids) = batch.ids() else {
            return Err(error::cache(
                what,
                "batches with sample ids",
                "a batch without",
                "add them with `Batch::with_ids`",
            ));
        };
        let output = teacher.output(m, &batch)?;
        let answers = Answers {
            ids: ids.to_vec(),
            features: output.features.detach(),
            logits: output.logits.detach(),
            targets: batch.targets().detach(),
        };
        check(&answers, &what)?;
        let forms = answers.parts().map(|(_, part)| (part.size()[1..].to_vec(), part.kind()));
        check_same(first.get_or_insert_with(|| forms.clone()), &forms, &what)?;
        for &id in &answers.ids {
            if rows.insert(id, rows.len() as i64).is_some() {
                return Err(error::cache(
                    what,
                    "every sample once",
                    format!("id {id} twice"),
                    "record one pass over the samples, each with an id of its own",
                ));
            }
        }
        take(answers)?;
    }
    if rows.is_empty() {
        return Err(error::cache(
            what,
            "at least one batch with samples that have its modality",
            "none",
            "pass the training set",
        ));
    }
    Ok(rows)
}

/// Refuses answers that are not one row an id, features that are not [B, d, …] and logits that are
/// not [B, C].
fn check(answers: &Answers, what: &str) -> Result<()> {
    let rows = answers.ids.len() as i64;
    let named = |part: &str| format!("{part} in the cache of {what}");
    for (part, tensor) in answers.parts() {
        if tensor.size().first() != Some(&rows) {
            return Err(error::shape(
                named(part),
                format!("[{rows}, …], one row an id"),
                format!("{:?}", tensor.size()),
                "every sample of the batch needs its id, its target and the teacher's answer",
            ));
        }
    }
    let forms = [
        ("features", &answers.features, answers.features.dim() >= 2, "[B, d, …]"),
        ("logits", &answers.logits, answers.logits.dim() == 2, "[B, C]"),
    ];
    for (part, tensor, right, expected) in forms {
        if !right {
            let found = format!("{:?}", tensor.size());
            return Err(error::shape(named(part), expected, found, "fix the teacher"));
        }
        if !tensor.is_floating_point() {
            let found = format!("{:?}", tensor.kind());
            return Err(error::kind(named(part), "a float kind", found, "fix the teacher"));
        }
    }
    Ok(())
}

/// Shape without the rows, and kind, of features, logits and targets.
type Forms = [(Vec<i64>, Kind); 3];

/// Refuses a batch whose answers have another shape or kind than those before.
fn check_same(first: &Forms, now: &Forms, what: &str) -> Result<()> {
    let names = ["features", "logits", "targets"];
    let pairs = names.iter().zip(first.iter().zip(now));
    match pairs.into_iter().find(|(_, (first, now))| first != now) {
        None => Ok(()),
        Some((part, (first, now))) => Err(error::shape(
            format!("{part} in the cache of {what}"),
            format!("rows of {:?} {:?}, as in the batches before", first.0, first.1),
            format!("{:?} {:?}", now.0, now.1),
            "record samples of one shape and kind",
        )),
    }
}
