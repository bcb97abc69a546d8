//! Finds what is not finite, refuses it or skips its step.

use tch::{Device, Tensor};

use super::{G2dTrainer, NonFinite, NonFiniteSource as Source, Precision, Skipped, StepOutcome};
use crate::{
    Batch, Error, LossTerms, Modality, Progress, Result, TeacherOutput, error, host,
    variables::Copies,
};

/// All that a step has made before backward, in its order.
pub(super) struct Evidence<'a> {
    pub batch: &'a Batch,
    pub teachers: &'a [Option<TeacherOutput>],
    pub confidence: &'a [Option<Tensor>],
    pub features: &'a [Tensor],
    pub logits: &'a Tensor,
    pub terms: &'a LossTerms,
}

/// A loss that was not read yet: the sum, and the terms that it is made of.
#[derive(Debug)]
pub(super) struct Unread {
    at: Progress,
    total: Tensor,
    terms: Vec<(Source, Tensor)>,
}

/// Losses that wait on a device to be read: an epoch may be long, and each holds device memory.
const UNREAD_AT_MOST: usize = 1024;

impl G2dTrainer {
    /// Can a step end as skipped? Then what it changes must be possible to undo.
    pub(super) fn may_skip(&self) -> bool {
        self.non_finite != NonFinite::Error || self.precision == Precision::Fp16
    }

    /// Before backward, on the CPU: refuses a loss that is not finite, or says why to skip the step.
    /// Elsewhere the loss is read later.
    pub(super) fn check_loss(&mut self, step: &Evidence<'_>) -> Result<Option<Source>> {
        let total = step.terms.total.detach();
        let skips = self.non_finite != NonFinite::Error;
        if total.device() != Device::Cpu {
            if !skips {
                if self.unread.len() >= UNREAD_AT_MOST {
                    self.read_unread(&[])?;
                }
                let terms = terms_of(step.terms, &self.modalities);
                self.unread.push(Unread { at: self.progress, total, terms });
            }
            return Ok(None);
        }
        let ranks = step.confidence.iter().flatten().filter(|_| skips);
        let scalars: Vec<_> =
            std::iter::once(&total).chain(ranks).map(Tensor::shallow_clone).collect();
        let values = host::read_on_host(&scalars)?;
        if values.iter().all(|value| value.is_finite()) {
            return Ok(None);
        }
        let first = self.first_source(step)?;
        if skips {
            return Ok(Some(first));
        }
        let term = first_bad(terms_of(step.terms, &self.modalities))?.unwrap_or(Source::Total);
        Err(not_finite(self.progress, &term, values[0], &first))
    }

    /// What a read after backward must see beside the gradients: under a policy that skips, and on a
    /// device, the loss and ρ.
    pub(super) fn doubts(&self, step: &Evidence<'_>) -> Vec<Tensor> {
        if self.non_finite == NonFinite::Error || step.terms.total.device() == Device::Cpu {
            return Vec::new();
        }
        let ranks = step.confidence.iter().flatten();
        std::iter::once(&step.terms.total).chain(ranks).map(Tensor::detach).collect()
    }

    /// Skips the step: all gradients undefined, running statistics as at the window's beginning.
    pub(super) fn skip(&mut self, why: Skipped, before: Option<Copies>) -> Result<StepOutcome> {
        self.undo(before)?;
        if let Skipped::NonFinite(source) = &why {
            self.skipped_in_a_row += 1;
            if let NonFinite::StopAfter(limit) = self.non_finite
                && self.skipped_in_a_row >= limit
            {
                return Err(error::non_finite(
                    format!("epoch {}, step {}: {source}", self.progress.epoch, self.progress.step),
                    format!("fewer than {limit} skipped steps in a row"),
                    format!("{}", self.skipped_in_a_row),
                    "check inputs and targets for NaN, and lower the learning rate",
                ));
            }
        }
        Ok(StepOutcome::Skipped(why))
    }

    /// All gradients undefined, running statistics as they were.
    pub(super) fn undo(&self, before: Option<Copies>) -> Result<()> {
        self.params.variables().clear_gradients()?;
        before.map_or(Ok(()), |before| before.restore())
    }

    /// What a step knows before its student runs, named, in the order of a step.
    fn known_to_plan(
        &self,
        batch: &Batch,
        teachers: &[Option<TeacherOutput>],
        confidence: &[Option<Tensor>],
    ) -> Vec<(Source, Tensor)> {
        let name = |m: usize| self.modalities[m].clone();
        let mut all: Vec<(Source, Tensor)> = Vec::new();
        let mut add = |source, tensor: &Tensor| all.push((source, tensor.detach()));
        for (m, input) in batch.inputs().iter().enumerate() {
            if batch.present(m).is_none() {
                add(Source::Input(name(m)), input);
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

    /// The error of a batch whose ρ is not finite, where the schedule ranks by it.
    pub(super) fn unranked(
        &self,
        teachers: &[Option<TeacherOutput>],
        confidence: &[Option<Tensor>],
        batch: &Batch,
    ) -> Result<Error> {
        let first = first_bad(self.known_to_plan(batch, teachers, confidence))?;
        let found = first.map_or_else(
            || "NaN or infinity, as the cache has it".to_owned(),
            |first| format!("NaN or infinity, first in the {first}"),
        );
        let Progress { epoch, step, .. } = self.progress;
        Ok(error::non_finite(
            format!("confidence ρ in epoch {epoch}, step {step}"),
            "finite numbers",
            found,
            "check the teacher's weights, the inputs and the targets for NaN",
        ))
    }

    /// The first thing in the order of a step that is not finite. Waits for the device.
    pub(super) fn first_source(&self, step: &Evidence<'_>) -> Result<Source> {
        let name = |m: usize| self.modalities[m].clone();
        let mut all = self.known_to_plan(step.batch, step.teachers, step.confidence);
        let mut add = |source, tensor: &Tensor| all.push((source, tensor.detach()));
        for (m, features) in step.features.iter().enumerate() {
            add(Source::Features(name(m)), features);
        }
        add(Source::Logits, step.logits);
        all.extend(terms_of(step.terms, &self.modalities));
        Ok(first_bad(all)?.unwrap_or(Source::Total))
    }

    /// The parameter whose gradient is not finite.
    pub(super) fn bad_gradient(&self) -> Result<Source> {
        let found = self.params.variables().first_bad_gradient()?;
        Ok(found.map_or(Source::Total, |name| Source::Gradient {
            parameter: name.to_owned(),
            modality: self.params.owner(name).cloned(),
        }))
    }

    /// Reads `scalars` and, in the same transfer, the losses of earlier steps.
    pub(super) fn read_unread(&mut self, scalars: &[Tensor]) -> Result<Vec<f64>> {
        let unread = std::mem::take(&mut self.unread);
        let losses = unread.iter().map(|loss| &loss.total);
        let all: Vec<Tensor> = scalars.iter().chain(losses).map(Tensor::shallow_clone).collect();
        let mut values = host::read_scalars(&all)?;
        let losses = values.split_off(scalars.len());
        match unread.into_iter().zip(losses).find(|(_, loss)| !loss.is_finite()) {
            Some((Unread { at, terms, .. }, loss)) => {
                let term = first_bad(terms)?.unwrap_or(Source::Total);
                Err(not_finite(at, &term, loss, &term))
            }
            None => Ok(values),
        }
    }
}

/// The terms of a loss, named, in their order.
fn terms_of(terms: &LossTerms, modalities: &[Modality]) -> Vec<(Source, Tensor)> {
    let named = |name: fn(Modality) -> Source, terms: &[Option<Tensor>]| -> Vec<_> {
        let each = terms.iter().zip(modalities);
        each.filter_map(|(term, m)| Some((name(m.clone()), term.as_ref()?.detach()))).collect()
    };
    let mut all = vec![(Source::TaskTerm, terms.task.detach())];
    all.extend(named(Source::FeatureTerm, &terms.feature));
    all.extend(named(Source::LogitTerm, &terms.logit));
    all
}

/// The first float tensor that holds a number that is not finite.
fn first_bad(all: Vec<(Source, Tensor)>) -> Result<Option<Source>> {
    let floats = all.into_iter().filter(|(_, tensor)| tensor.is_floating_point());
    let (sources, tensors): (Vec<_>, Vec<_>) = floats.unzip();
    let finite = tensors
        .iter()
        .map(|tensor| tensor.f_isfinite()?.f_all())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|source| Error::torch("look for a number that is not finite", source))?;
    let finite = host::read_scalars(&finite)?;
    Ok(sources.into_iter().zip(finite).find(|(_, finite)| *finite == 0.0).map(|(s, _)| s))
}

fn not_finite(at: Progress, term: &Source, value: f64, first: &Source) -> Error {
    error::non_finite(
        format!("loss in epoch {}, step {}: its {term}", at.epoch, at.step),
        "a finite number",
        format!("{value}, first in the {first}"),
        "check inputs and targets for NaN, and lower the learning rate",
    )
}

/// A gradient that is not finite, where no policy lets the step be skipped.
pub(super) fn bad_gradient_error(at: Progress, source: &Source) -> Error {
    error::non_finite(
        format!("{source} in epoch {}, step {}", at.epoch, at.step),
        "finite numbers",
        "NaN or infinity, though the loss scale is down to 1",
        "train in bf16 or full precision, or lower the learning rate",
    )
}
