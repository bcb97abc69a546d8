//! Cosine between the gradients of the terms of the loss.

use tch::Tensor;

use super::{ImbalanceProbe, interval::Interval, means::Means, vectors};
use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::state::State;
use crate::step::{Measurement, Observation};

/// ⟨a, b⟩ / (‖a‖ ‖b‖) in [−1, 1] between the gradients a and b of two terms of the loss with respect to
/// each encoder, concatenated over its parameters; the mean over the observed steps.
///
/// - `cosine_task_feature`: of L_S and Σ_j L_feat^j.
/// - `cosine_task_logit`: of L_S and Σ_j L_logit^j.
/// - `cosine_feature_logit`: of Σ_j L_feat^j and Σ_j L_logit^j.
///
/// A value below 0 shows that two terms conflict. The terms are taken before their weights, and before
/// anything changes gradients after backward. A gradient of 0 gives 0. A cosine is omitted where a term
/// does not depend on the encoder (a suppressed encoder, no teachers, weight 0), and where the whole
/// batch lacks the modality.
///
/// The gradients of a step of several ranks are those of their combined batch.
///
/// Cost: three backward passes per observed step, and memory for three gradients of every encoder; with
/// several ranks also the reduction of these.
///
/// Source: the cosine between multimodal and unimodal gradients of Wei & Hu, "MMPareto", ICML 2024.
#[derive(Debug)]
pub struct GradientCosine {
    interval: Interval,
    cosines: [Means; 3],
}

/// Indices of the terms that each metric compares.
const PAIRS: [(usize, usize, &str); 3] =
    [(0, 1, "cosine_task_feature"), (0, 2, "cosine_task_logit"), (1, 2, "cosine_feature_logit")];

impl GradientCosine {
    /// Observes the first of every `interval` optimizer steps; 0 is treated as 1.
    pub fn with_interval(interval: u64) -> Self {
        let cosines = PAIRS.map(|(_, _, metric)| Means::new(metric));
        Self { interval: Interval::new(interval), cosines }
    }
}

impl ImbalanceProbe for GradientCosine {
    fn observe_terms(&mut self, step: &Observation<'_>) -> Result<()> {
        if !self.interval.includes(step) {
            return Ok(());
        }
        let task = share(&step.terms.task, step.combined.share_of_samples())?;
        let of_modalities = |terms: &[Option<Tensor>]| {
            let each = terms.iter().enumerate();
            let each = each.filter_map(|(m, term)| Some((m, term.as_ref()?)));
            sum(each.map(|(m, term)| share(term, step.combined.share_of_modality(m))))
        };
        let terms =
            [Some(task), of_modalities(&step.terms.feature)?, of_modalities(&step.terms.logit)?];
        let gradients = terms.iter().map(|term| step.gradients_of(term.as_ref()));
        let gradients = over_ranks(step, gradients.collect::<Result<_>>()?)?;
        for ((a, b, _), means) in PAIRS.iter().zip(&mut self.cosines) {
            for (m, (a, b)) in gradients[*a].iter().zip(&gradients[*b]).enumerate() {
                if let Some(cosine) = cosine(a, b)? {
                    means.modality(step.modalities(), m).add(&cosine, step.weight_of_rank())?;
                }
            }
        }
        Ok(())
    }

    fn observe(&mut self, _step: &Observation<'_>) -> Result<()> {
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let found = self.cosines.iter_mut().map(Means::take).collect::<Result<Vec<_>>>()?;
        Ok(found.concat())
    }

    fn combine(
        &mut self,
        modalities: &[Modality],
        sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        self.cosines.iter_mut().try_for_each(|means| means.combine(modalities, sum))
    }

    fn state(&self) -> Result<State> {
        Means::save(&self.cosines.each_ref())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut self.cosines.each_mut())
    }
}

/// The part that a rank contributes to a term of the combined batch.
fn share(term: &Tensor, share: f64) -> Result<Tensor> {
    if share == 1.0 {
        return Ok(term.shallow_clone());
    }
    term.f_mul_scalar(share).map_err(|source| Error::torch("weigh a term of the loss", source))
}

fn sum(mut terms: impl Iterator<Item = Result<Tensor>>) -> Result<Option<Tensor>> {
    let Some(first) = terms.next() else { return Ok(None) };
    let add = |sum: Tensor, term: Result<Tensor>| {
        sum.f_add(&term?).map_err(|source| Error::torch("add the terms of the loss", source))
    };
    terms.try_fold(first?, add).map(Some)
}

/// The gradients of each term, by encoder and parameter, added up over the ranks. One is defined where it is on
/// any rank.
fn over_ranks(
    step: &Observation<'_>,
    mut terms: Vec<Vec<Vec<Tensor>>>,
) -> Result<Vec<Vec<Vec<Tensor>>>> {
    let Some(group) = step.ranks.group() else { return Ok(terms) };
    let is_defined = |gradient: &Tensor| f64::from(u8::from(gradient.defined()));
    let own: Vec<f64> = terms.iter().flatten().flatten().map(is_defined).collect();
    let mut ranks_that_have_it = step.ranks.sum(&own)?.into_iter();
    for (m, encoder) in terms.iter_mut().flat_map(|term| term.iter_mut().enumerate()) {
        for (gradient, (_, parameter)) in encoder.iter_mut().zip(step.params.encoder(m)) {
            if ranks_that_have_it.next().is_none_or(|ranks| ranks == 0.0) {
                continue;
            }
            let part = || match gradient.defined() {
                true => Tensor::f_zeros_like(parameter)?.f_add(gradient),
                false => Tensor::f_zeros_like(parameter),
            };
            let part = part().and_then(|part| part.f_contiguous());
            let part = part.map_err(|e| Error::torch("add up gradients over the ranks", e))?;
            group.sum(&part)?;
            *gradient = part;
        }
    }
    Ok(terms)
}

/// The cosine of two gradients of the same parameters: the dot product over the parameters where both
/// are defined, each norm over those where its own is. `None` if either is defined nowhere.
fn cosine(a: &[Tensor], b: &[Tensor]) -> Result<Option<Tensor>> {
    let square = |own: &[Tensor]| {
        vectors::dot(own.iter().filter(|gradient| gradient.defined()).map(|g| (g, g)))
    };
    let both = a.iter().zip(b).filter(|(a, b)| a.defined() && b.defined());
    let cosine = || {
        let Some(dot) = vectors::dot(both)? else { return Ok(None) };
        let (Some(aa), Some(bb)) = (square(a)?, square(b)?) else { return Ok(None) };
        vectors::quotient(&dot, &aa.f_sqrt()?.f_mul(&bb.f_sqrt()?)?).map(Some)
    };
    cosine().map_err(|source| Error::torch("compute the cosine of two gradients", source))
}
