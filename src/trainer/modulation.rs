//! The turn of a gradient modulation in a step.

use super::agreed;
use crate::error::{self, Result};
use crate::modulation::Modulate;
use crate::ranks::Call;
use crate::step::Observation;

/// Refuses, before backward, a student without the unimodal logits that the modulation requires.
pub(super) fn check(modulation: &dyn Modulate, step: &Observation<'_>) -> Result<()> {
    if !modulation.needs_unimodal_logits() {
        return Ok(());
    }
    for (m, modality) in step.modalities().iter().enumerate() {
        if !step.rows[m].is_missing() && step.unimodal_logits(m)?.is_none() {
            return Err(error::config(
                "gradient modulation",
                format!("a student with unimodal logits of modality {modality:?}"),
                "a student that has none",
                "implement `Student::unimodal_logits`, or use a fusion or a formula that has them",
            ));
        }
    }
    Ok(())
}

/// Lets the modulation change complete gradients. Returns the factor on each encoder's, if it changed
/// any. Refuses ranks with different factors.
pub(super) fn apply(
    modulation: &mut dyn Modulate,
    step: &Observation<'_>,
) -> Result<Option<Vec<f64>>> {
    let factors = modulate(modulation, step);
    let shown = |factors: &Option<Vec<f64>>| factors.clone().unwrap_or_default();
    let (factors, rows) =
        step.ranks.agree(Call::Modulation, step.at.total_steps, factors, shown)?;
    let hint = "let the modulation average its scores by `Observation::mean_over_ranks`";
    agreed::same(&rows, 0..step.modalities().len(), "factors of the gradient modulation", hint)?;
    Ok(factors)
}

fn modulate(modulation: &mut dyn Modulate, step: &Observation<'_>) -> Result<Option<Vec<f64>>> {
    let _no_grad = tch::no_grad_guard();
    let factors = modulation.modulate(step)?;
    let (found, modalities) = (factors.as_ref().map(Vec::len), step.modalities());
    if found.is_some_and(|found| found != modalities.len()) {
        let (what, hint) = ("factors of the gradient modulation", "correct the modulation");
        return Err(error::one_per_modality(what, modalities, found.unwrap_or_default(), hint));
    }
    let mut each = modalities.iter().zip(factors.iter().flatten());
    match each.find(|(_, factor)| !factor.is_finite()) {
        None => Ok(factors),
        Some((modality, factor)) => {
            let what = format!("factor of the gradient modulation for modality {modality:?}");
            let hint = "correct the modulation, and check the student's unimodal logits";
            Err(error::non_finite(what, "a finite number", factor, hint))
        }
    }
}
