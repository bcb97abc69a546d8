//! What all ranks of a step agree on before its backward pass, and after it.

use super::{finite::Checked, reduction::learning_digest};
use crate::error::{self, Error, Result};
use crate::ranks::{Call, Ranks, Row};
use crate::step::{NonFiniteSource, Observation};

/// The source of a value of the forward pass that is not finite, on the first rank that `found` one. Refuses
/// ranks with other plans or with other parameters that learn.
pub(super) fn source(
    step: &Observation<'_>,
    found: Result<Option<NonFiniteSource>>,
) -> Result<Option<NonFiniteSource>> {
    let shown = |found: &Option<NonFiniteSource>| {
        let head = [f64::from(u8::from(found.is_some())), learning_digest(step.params.variables())];
        head.into_iter().chain(step.plan.kappa().iter().copied()).collect()
    };
    let (found, rows) = step.ranks.agree(Call::Loss, step.at.total_steps, found, shown)?;
    let k = step.plan.kappa().len();
    let hint = "freeze and unfreeze the same layers on all ranks";
    same(&rows, 1..2, "parameters that require gradients", hint)?;
    let hint = "give all ranks schedulers of the same configuration and state";
    same(&rows, 2..2 + k, "κ of the plan", hint)?;
    first(step.ranks, &rows, found)
}

/// What the check after backward has found on any rank; to be called where it depends on the rank.
pub(super) fn checked(step: &Observation<'_>, found: Result<Checked>) -> Result<Checked> {
    let source = |found: Checked| match found {
        Checked::Loss(source) => (Some(source), Checked::Finite),
        other => (None, other),
    };
    let shown = |(source, _): &(Option<_>, _)| vec![f64::from(u8::from(source.is_some()))];
    let at = step.at.total_steps;
    let ((source, rest), rows) = step.ranks.agree(Call::Finite, at, found.map(source), shown)?;
    Ok(first(step.ranks, &rows, source)?.map_or(rest, Checked::Loss))
}

/// The source on the first rank whose row begins with a number other than 0.
fn first(
    ranks: &Ranks,
    rows: &[Row],
    own: Option<NonFiniteSource>,
) -> Result<Option<NonFiniteSource>> {
    let Some(rank) = rows.iter().position(|row| row.values[0] != 0.0) else { return Ok(None) };
    let own = own.unwrap_or(NonFiniteSource::Total);
    let text = serde_json::to_string(&own).unwrap_or_default();
    let text = ranks.share_text(rank, &text)?;
    // A text that is cut off names no source.
    Ok(Some(serde_json::from_str(&text).unwrap_or(NonFiniteSource::Total)))
}

/// Refuses rows whose values in `range` are not those of rank 0, bit by bit.
pub(super) fn same(
    rows: &[Row],
    range: std::ops::Range<usize>,
    what: &str,
    hint: &str,
) -> Result<()> {
    let of = |row: &Row| row.values.get(range.clone()).unwrap_or_default().to_vec();
    let bits = |row: &Row| of(row).into_iter().map(f64::to_bits).collect::<Vec<_>>();
    match rows.iter().position(|row| bits(row) != bits(&rows[0])) {
        None => Ok(()),
        Some(rank) => Err(differs(rank, what, &of(&rows[0]), &of(&rows[rank]), hint)),
    }
}

fn differs(rank: usize, what: &str, first: &[f64], found: &[f64], hint: &str) -> Error {
    let what = format!("{what} of rank {rank}");
    error::config(what, format!("those of rank 0, {first:?}"), format!("{found:?}"), hint)
}
