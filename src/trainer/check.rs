//! Checks of what models answer.

use tch::Tensor;

use crate::{Batch, LossTerms, Result, error};

/// Refuses a float tensor with another number of rows than the batch, another number of dimensions,
/// or on another device.
pub(super) fn check_rows(
    what: &str,
    tensor: &Tensor,
    dimensions: Option<usize>,
    batch: &Batch,
) -> Result<()> {
    let size = tensor.size();
    let right = size.len() >= 2 && dimensions.is_none_or(|d| size.len() == d);
    if !right || size[0] != batch.size() {
        let rest = if dimensions.is_some() { "C" } else { "d, …" };
        return Err(error::shape(
            what,
            format!("[{}, {rest}], one row a sample", batch.size()),
            format!("{size:?}"),
            "check what the model returns",
        ));
    }
    if !tensor.is_floating_point() {
        return Err(error::kind(
            what,
            "a float kind",
            format!("{:?}", tensor.kind()),
            "convert it",
        ));
    }
    if tensor.device() != batch.device() {
        return Err(error::device(
            what,
            format!("{:?}, where the batch is", batch.device()),
            format!("{:?}", tensor.device()),
            "put the model on the batch's device",
        ));
    }
    Ok(())
}

/// Refuses a loss whose terms are not scalars, or not one for each of `k` modalities.
pub(super) fn check_terms(terms: &LossTerms, k: usize) -> Result<()> {
    let each = || terms.feature.iter().chain(&terms.logit).flatten();
    let scalars = [&terms.total, &terms.task].into_iter().chain(each());
    if let Some(term) = scalars.into_iter().find(|term| !term.defined() || term.dim() > 0) {
        return Err(error::shape(
            "terms of the loss",
            "scalars, []",
            format!("{:?}", term.size()),
            "reduce each to one number in `G2dLoss::terms`",
        ));
    }
    let found = (terms.feature.len(), terms.logit.len());
    if found == (k, k) {
        return Ok(());
    }
    Err(error::shape(
        "terms of the loss",
        format!("{k} feature and {k} logit terms, one a modality"),
        format!("{} and {}", found.0, found.1),
        "return None for a modality without a term",
    ))
}
