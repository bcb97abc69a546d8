//! Names the first value of a step that is NaN or infinite.

use std::fmt::Display;

use tch::Tensor;

use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::modality::Modality;
use crate::parameters::ModalityParams;
use crate::schedule::Progress;
use crate::step::{NonFiniteSource as Source, Objective, Observation};
use crate::teacher::TeacherOutput;
use crate::transfer;

/// Detached tensors with their names, in the order of computation.
pub(super) type Named = Vec<(Source, Tensor)>;

/// What a step has before its student runs: inputs, targets, teacher outputs, ρ.
pub(super) fn before_student(
    objective: &Objective,
    batch: &Batch,
    teachers: &[Option<TeacherOutput>],
    confidence: &[Option<Tensor>],
) -> Named {
    let name = |m: usize| objective.modalities()[m].clone();
    let mut all: Named = Vec::new();
    let mut add = |source, tensor: &Tensor| all.push((source, tensor.detach()));
    for (m, input) in batch.inputs().iter().enumerate() {
        if batch.present(m).is_none() {
            input.tensors().for_each(|(_, tensor)| add(Source::Input(name(m)), tensor));
        }
    }
    add(Source::Targets, batch.targets());
    for (m, teacher) in teachers.iter().enumerate() {
        if let Some(teacher) = teacher {
            add(Source::TeacherFeatures(name(m)), &teacher.features);
            add(Source::TeacherLogits(name(m)), &teacher.logits);
        }
    }
    for (m, rho) in confidence.iter().enumerate() {
        rho.iter().for_each(|rho| add(Source::Confidence(name(m)), rho));
    }
    all
}

/// The terms of the loss.
pub(super) fn of_terms(step: &Observation<'_>) -> Named {
    let mut all = vec![(Source::TaskTerm, step.terms.task.detach())];
    let mut add = |name: fn(Modality) -> Source, terms: &[Option<Tensor>]| {
        for (term, modality) in terms.iter().zip(step.modalities()) {
            all.extend(term.as_ref().map(|term| (name(modality.clone()), term.detach())));
        }
    };
    add(Source::FeatureTerm, &step.terms.feature);
    add(Source::LogitTerm, &step.terms.logit);
    add(Source::HeadTerm, &step.terms.head);
    all.extend(step.terms.ensemble.as_ref().map(|term| (Source::EnsembleTerm, term.detach())));
    all
}

/// All values of a step before its backward.
pub(super) fn of_step(step: &Observation<'_>) -> Named {
    let mut all = before_student(step.objective, step.batch, step.teachers, step.confidence);
    for (features, modality) in step.fused.iter().zip(step.modalities()) {
        all.push((Source::Features(modality.clone()), features.detach()));
    }
    all.push((Source::Logits, step.logits.detach()));
    all.extend(of_terms(step));
    all
}

/// The first that holds a value that is not finite, else [`Source::Total`]. Synchronises with the
/// device.
pub(super) fn first(all: Named) -> Result<Source> {
    let floats = all.into_iter().filter(|(_, tensor)| tensor.is_floating_point());
    let (sources, tensors): (Vec<_>, Vec<_>) = floats.unzip();
    let found = transfer::first_non_finite(&tensors)?;
    Ok(found.and_then(|i| sources.into_iter().nth(i)).unwrap_or(Source::Total))
}

/// The first parameter by name whose gradient is not finite, else [`Source::Total`].
pub(super) fn first_gradient(params: &ModalityParams) -> Result<Source> {
    let found = params.variables().first_non_finite_gradient()?;
    Ok(found.map_or(Source::Total, |name| Source::Gradient {
        parameter: name.to_owned(),
        modality: params.owner(name).cloned(),
    }))
}

/// The error of a loss whose `term` has `value`, because of `first`.
pub(super) fn loss_error(at: Progress, term: &Source, value: f64, first: &Source) -> Error {
    let what = format!("loss in epoch {}, step {}: its {term}", at.epoch, at.step);
    not_finite(what, format!("{value}, first in the {first}"))
}

/// The error of a buffer that is not finite after the forward pass of `step`.
pub(super) fn buffer_error(step: &Observation<'_>, source: &Source) -> Error {
    let Source::Buffer { modality, .. } = source else {
        return deferred_buffer_error(step.at, source);
    };
    let m = step.modalities().iter().position(|m| Some(m) == modality.as_ref());
    let samples = m.map_or_else(|| step.batch.size(), |m| step.samples(m));
    not_finite_buffer(step.at, source, samples)
}

/// The error of a buffer that a later read has found, of a batch of unknown size.
pub(super) fn deferred_buffer_error(at: Progress, source: &Source) -> Error {
    not_finite_buffer(at, source, 0)
}

fn not_finite_buffer(at: Progress, source: &Source, samples: i64) -> Error {
    let what = format!("{source} in epoch {}, step {}", at.epoch, at.step);
    let (found, hint) = buffer_hint(samples);
    error::non_finite(what, "finite numbers", found, hint)
}

/// What is found in a buffer after a batch of `samples` samples, and a hint.
pub(super) fn buffer_hint(samples: i64) -> (&'static str, &'static str) {
    if samples == 1 {
        let found = "NaN or infinity after a batch of one sample";
        (
            found,
            "leave out batches of one sample: batch norm cannot estimate a variance from one value",
        )
    } else {
        ("NaN or infinity", "check the inputs for NaN, and lower the learning rate")
    }
}

/// The error of the loss `what` that is not finite.
pub(super) fn not_finite(what: impl Display, found: impl Display) -> Error {
    let hint = "check inputs and targets for NaN, and lower the learning rate";
    error::non_finite(what, "a finite number", found, hint)
}

/// The error of a gradient that is not finite where the policy does not skip.
pub(super) fn gradient_error(at: Progress, source: &Source) -> Error {
    error::non_finite(
        format!("{source} in epoch {}, step {}", at.epoch, at.step),
        "finite numbers",
        "NaN or infinity, though the loss scale is down to 1",
        "train in bf16 or full precision, or lower the learning rate",
    )
}

/// The error of a ρ that the scheduler ranks by, from what was `known` when it was computed.
pub(super) fn confidence_error(at: Progress, known: Named) -> Result<Error> {
    let found = match first(known)? {
        Source::Total => "NaN or infinity in the teacher cache".to_owned(),
        source => format!("NaN or infinity, first in the {source}"),
    };
    Ok(error::non_finite(
        format!("confidence ρ in epoch {}, step {}", at.epoch, at.step),
        "finite numbers",
        found,
        "check the teacher's weights, the inputs and the targets for NaN",
    ))
}
