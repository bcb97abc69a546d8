//! Shapley contribution and utilisation rate of every modality.

use std::fmt;

use tch::Tensor;

use super::{
    Baseline, ValueFunction, accuracy, cat, check_features, check_finite, no_sample, to_host,
};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::step::Measurement;
use crate::student::{Caught, Features, Student};

/// The Shapley contribution and the conditional utilisation rate of every modality on held-out data.
///
/// v(S) is the value of the fused predictions when only the modalities in S are present and the
/// [`Baseline`] replaces the others, in evaluation mode, over all samples that have every modality.
///
/// - `shapley`: φ^m = Σ_{S ∌ m} |S|! (k − |S| − 1)! / k! · [v(S ∪ m) − v(S)], exact over all 2^k
///   coalitions. Σ_m φ^m = v(all) − v(∅).
/// - `utilisation_rate`: u^m = [v(all) − v(all ∖ m)] / v(all); omitted unless v(all) is positive, so for
///   a negated error.
/// - `worth_all`, `worth_none`: v(all) and v(∅).
///
/// Cost: each encoder runs once over the data and once per batch size over the baseline, the fusion 2^k
/// times over the data, and all predictions are read back. Limited to k ≤ 8.
///
/// Sources: Shapley 1953, as in Wei et al., CVPR 2024 and BalanceBenchmark; Wu et al.,
/// "Characterizing and Overcoming the Greedy Nature of Learning", ICML 2022, for two modalities.
pub struct Shapley {
    value: ValueFunction,
    baseline: Baseline,
}

impl Default for Shapley {
    /// Accuracy as value function, [`Baseline::ZeroInput`].
    fn default() -> Self {
        Self { value: accuracy(), baseline: Baseline::default() }
    }
}

impl Shapley {
    /// Sets the value function, for example `|p, y| Ok(-metrics::rmse(p, y)?)` for a regression. A higher
    /// value is better.
    pub fn value_function(self, value: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'static) -> Self {
        Self { value: Box::new(value), ..self }
    }

    /// Sets the baseline of absent modalities.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Measures `student` on `batches`, which are on its device.
    ///
    /// # Errors
    /// Any error of a batch, of the student or of the value function;
    /// [`Error::Config`](crate::Error::Config) without a sample that has every modality, for more than 8
    /// modalities, or unless the baseline has one input per modality;
    /// [`Error::NonFinite`](crate::Error::NonFinite) if predictions or a value are not finite;
    /// [`Error::Shape`](crate::Error::Shape) for features that do not have one row per sample.
    pub fn measure(&self, student: &dyn Student, batches: &[Batch]) -> Result<Vec<Measurement>> {
        let _no_grad = tch::no_grad_guard();
        let student = &Caught(student);
        let modalities = student.modalities();
        let k = modalities.len();
        self.check(modalities)?;
        let v = self.values(student, batches)?;
        if let Some(value) = v.iter().find(|value| !value.is_finite()) {
            let hint = "check the student's predictions and the value function";
            return Err(error::non_finite("value of a coalition", "a finite number", value, hint));
        }
        let all = v.len() - 1;
        let whole =
            |metric: &str, value| Measurement { metric: metric.into(), modality: None, value };
        let mut found = vec![whole("worth_all", v[all]), whole("worth_none", v[0])];
        for (m, modality) in modalities.iter().enumerate() {
            let without = (0..=all).filter(|set| set & (1 << m) == 0);
            let gain = |set: usize| weight(set, k) * (v[set | (1 << m)] - v[set]);
            found.push(Measurement::new("shapley", modality, without.map(gain).sum()));
            if v[all] > 0.0 {
                let rate = (v[all] - v[all ^ (1 << m)]) / v[all];
                found.push(Measurement::new("utilisation_rate", modality, rate));
            }
        }
        Ok(found)
    }

    fn check(&self, modalities: &[Modality]) -> Result<()> {
        if modalities.len() > 8 {
            let expected = "at most 8, since each of the 2^k coalitions is a pass of the fusion";
            let hint = "use `LinearProbe`, which takes one pass per modality";
            return Err(error::config("modalities of Shapley", expected, modalities.len(), hint));
        }
        self.baseline.check(modalities)
    }

    /// v of every coalition; modality m is in coalition `set` if bit m of `set` is 1.
    fn values(&self, student: &dyn Student, batches: &[Batch]) -> Result<Vec<f64>> {
        let k = student.modalities().len();
        let mut predictions: Vec<Vec<Tensor>> = (0..1 << k).map(|_| Vec::new()).collect();
        let mut targets = Vec::new();
        let mut absent: Option<(Vec<Vec<i64>>, Vec<Tensor>)> = None;
        for batch in batches {
            batch.check(student.modalities(), batch.device())?;
            let Some(batch) = batch.complete()? else { continue };
            let encode = |m| {
                let features = student.encode(m, &batch, false)?;
                check_features(&features, &student.modalities()[m], &batch)?;
                Ok(features)
            };
            let features = (0..k).map(encode).collect::<Result<Vec<_>>>()?;
            let shapes: Vec<_> = batch.inputs().iter().map(|input| input.size()).collect();
            let is_known = absent.as_ref().is_some_and(|(of, _)| *of == shapes);
            // Further tensors of an input, such as a mask, differ from batch to batch.
            if !is_known || batch.inputs().iter().any(|input| input.tensors().len() > 1) {
                absent = Some((shapes, self.baseline.features(student, &batch, &features)?));
            }
            let Some((_, absent)) = &absent else { continue };
            for (set, predictions) in predictions.iter_mut().enumerate() {
                let own = |m: usize| if set & (1 << m) == 0 { &absent[m] } else { &features[m] };
                let own: Vec<Tensor> = (0..k).map(|m| own(m).shallow_clone()).collect();
                let own = Features::new(&own, &batch)?;
                predictions.push(to_host(&student.fuse(&own, false)?)?);
            }
            targets.push(to_host(batch.targets())?);
        }
        if targets.is_empty() {
            return Err(no_sample("every modality"));
        }
        let targets = cat(&targets)?;
        let value = |parts: &Vec<Tensor>| {
            let predictions = cat(parts)?;
            check_finite("predictions of a coalition", &predictions)?;
            (self.value)(&predictions, &targets)
        };
        predictions.iter().map(value).collect()
    }
}

impl fmt::Debug for Shapley {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shapley").field("baseline", &self.baseline).finish_non_exhaustive()
    }
}

/// |S|! (k − |S| − 1)! / k! of the coalition S = `set` of k modalities.
fn weight(set: usize, k: usize) -> f64 {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let size = set.count_ones() as usize;
    factorial(size) * factorial(k - size - 1) / factorial(k)
}
