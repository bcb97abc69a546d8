//! Do the loss's terms pull an encoder the same way?

use tch::Tensor;

use super::{ImbalanceProbe, is_due, means::Means, vectors};
use crate::{
    error::{Error, Result},
    state::State,
    step::{Measurement, Observation},
};

/// Cosine between the gradients of two terms of the loss, over all of an encoder's parameters taken
/// together, averaged over the steps observed: ⟨a, b⟩ / (‖a‖ ‖b‖) in [−1, 1].
///
/// `cosine_task_feature`, `cosine_task_logit` and `cosine_feature_logit` of every modality, from the
/// gradients of L_S, Σ_j L_feat^j and Σ_j L_logit^j, each term as it is before its weight and before
/// whatever changes gradients after backward. Below 0 two terms conflict there. 0 where a gradient is
/// zero; nothing where a term does not reach the encoder (a suppressed one, no teachers, weight 0) or
/// the whole batch lacks the modality.
///
/// Costs a backward for each of the three terms in every `every`-th step, and keeps three gradients of
/// every encoder until it has compared them; the step's own gradients are left alone; no wait.
///
/// Source: the cosine between multimodal and unimodal gradients of Wei & Hu, "MMPareto", ICML 2024.
#[derive(Debug)]
pub struct GradientCosine {
    every: u64,
    cosines: [Means; 3],
}

/// Which terms each mean compares.
const PAIRS: [(usize, usize, &str); 3] =
    [(0, 1, "cosine_task_feature"), (0, 2, "cosine_task_logit"), (1, 2, "cosine_feature_logit")];

impl GradientCosine {
    /// Observes the first of every `every` steps of the optimizer; 0 is taken as 1.
    pub fn every(every: u64) -> Self {
        Self { every: every.max(1), cosines: PAIRS.map(|(_, _, metric)| Means::new(metric)) }
    }
}

impl ImbalanceProbe for GradientCosine {
    fn observe_terms(&mut self, step: &Observation<'_>) -> Result<()> {
        if !is_due(step, self.every) {
            return Ok(());
        }
        let terms = [
            Some(step.terms.task.shallow_clone()),
            sum(&step.terms.feature)?,
            sum(&step.terms.logit)?,
        ];
        let gradients = terms
            .iter()
            .map(|term| step.gradients_of(term.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        for ((a, b, _), means) in PAIRS.iter().zip(&mut self.cosines) {
            for (m, (a, b)) in gradients[*a].iter().zip(&gradients[*b]).enumerate() {
                if let Some(cosine) = cosine(a, b)? {
                    means.of(step.modalities(), m).add(&cosine, 1.0)?;
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

    fn state(&self) -> Result<State> {
        Means::save(&self.cosines.each_ref())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut self.cosines.each_mut())
    }
}

/// Σ of the terms that there are.
fn sum(terms: &[Option<Tensor>]) -> Result<Option<Tensor>> {
    let mut terms = terms.iter().flatten();
    let Some(first) = terms.next() else { return Ok(None) };
    let add = |sum: Tensor, term: &Tensor| sum.f_add(term);
    let sum = terms.try_fold(first.shallow_clone(), add);
    sum.map(Some).map_err(|source| Error::torch("add up the loss's terms", source))
}

/// Of two lists of gradients of the same parameters, over those that are defined in both norms;
/// `None` if either term reaches none of them.
fn cosine(a: &[Tensor], b: &[Tensor]) -> Result<Option<Tensor>> {
    let reaches = |own: &[Tensor]| own.iter().any(Tensor::defined);
    if !reaches(a) || !reaches(b) {
        return Ok(None);
    }
    let defined = |own: &'_ [Tensor]| -> Vec<Tensor> {
        own.iter().filter(|g| g.defined()).map(Tensor::shallow_clone).collect()
    };
    let squares = |own: &[Tensor]| vectors::dot(own.iter().zip(own));
    let both = a.iter().zip(b).filter(|(a, b)| a.defined() && b.defined());
    let cosine = || {
        let Some(dot) = vectors::dot(both)? else { return Ok(None) };
        let (Some(aa), Some(bb)) = (squares(&defined(a))?, squares(&defined(b))?) else {
            return Ok(None);
        };
        vectors::quotient(&dot, &aa.f_sqrt()?.f_mul(&bb.f_sqrt()?)?).map(Some)
    };
    cosine().map_err(|source| Error::torch("take the cosine of two gradients", source))
}
