//! What each modality contributes to the fused answer.

use std::fmt;

use tch::{Device, Kind, Tensor};

use super::{ValueFunction, accuracy, cat, failed, to_host};
use crate::{
    batch::{Batch, Rows},
    error::{self, Result},
    step::Measurement,
    student::Student,
};

/// What stands in for a modality that a coalition lacks.
#[derive(Debug, Default)]
pub enum Baseline {
    /// An input of zeros, as in BalanceBenchmark.
    #[default]
    ZeroInput,
    /// One sample's input […] of every modality, in the student's order: the training mean, say.
    Input(Vec<Tensor>),
    /// Features of zeros, as this crate's fusion sees a modality that a sample lacks.
    ZeroFeatures,
}

impl Baseline {
    /// The mean input of every modality over the samples of `batches` that have it, for float inputs.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if no sample has one of the modalities.
    pub fn from_mean(batches: &[Batch]) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let modalities = batches.first().map_or(0, |batch| batch.inputs().len());
        let mean = |m: usize| {
            let (mut sum, mut samples): (Option<Tensor>, i64) = (None, 0);
            for batch in batches {
                let rows = batch.rows(m)?;
                if rows.is_missing() {
                    continue;
                }
                samples += rows.count(batch.size());
                let input = rows.select(batch.input(m))?;
                let own = input.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>);
                let own = own.map_err(failed)?;
                sum = Some(match sum {
                    Some(sum) => sum.f_add(&own).map_err(failed)?,
                    None => own,
                });
            }
            let kind = batches[0].input(m).kind();
            let mean = sum.map(|sum| (sum / samples as f64).to_kind(kind));
            mean.ok_or_else(|| no_sample(&format!("modality {m}")))
        };
        (0..modalities).map(mean).collect::<Result<_>>().map(Self::Input)
    }
}

/// The Shapley contribution of every modality and its conditional utilisation rate, on held-out data.
///
/// With v(S) the worth of the fused answers when only the modalities in S are there (all others
/// replaced as [`Baseline`] says), in evaluation mode, over all samples that have every modality:
///
/// - `shapley`: φ^m = Σ_{S ∌ m} |S|! (k − |S| − 1)! / k! · [v(S ∪ m) − v(S)], exact over all 2^k
///   coalitions. Σ_m φ^m = v(all) − v(∅).
/// - `utilisation_rate`: u^m = [v(all) − v(all ∖ m)] / v(all), what is lost without m; left out where
///   v(all) is not above 0, as of a negated error.
/// - `worth_all`, `worth_none`: v(all) and v(∅).
///
/// Costs each encoder one pass over the data and one over the stand-ins of each batch size, and the
/// fusion 2^k passes; it reads every answer back. For k ≤ 8.
///
/// Sources: Shapley 1953, as in Wei et al., CVPR 2024 and BalanceBenchmark; Wu et al.,
/// "Characterizing and Overcoming the Greedy Nature of Learning", ICML 2022, for two modalities.
pub struct Shapley {
    value: ValueFunction,
    baseline: Baseline,
}

impl Default for Shapley {
    /// Accuracy as worth, zeros as input.
    fn default() -> Self {
        Self { value: accuracy(), baseline: Baseline::default() }
    }
}

impl Shapley {
    /// With another worth; higher is better: `|p, y| Ok(-metrics::rmse(p, y)?)` for a regression.
    pub fn value_function(self, value: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'static) -> Self {
        Self { value: Box::new(value), ..self }
    }

    /// With another stand-in for what is absent.
    pub fn baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Measures `student` on `batches`, which lie on its device.
    ///
    /// # Errors
    /// Any error of a batch, of the student or of the worth;
    /// [`Error::Config`](crate::error::Error::Config) without a sample that has every modality, for more
    /// than 8 modalities, or for another number of stand-ins;
    /// [`Error::NonFinite`](crate::error::Error::NonFinite) for a worth that is not finite.
    pub fn measure(&self, student: &dyn Student, batches: &[Batch]) -> Result<Vec<Measurement>> {
        let _no_grad = tch::no_grad_guard();
        let modalities = student.modalities();
        let k = modalities.len();
        self.check(k)?;
        let worth = self.coalitions(student, batches)?;
        if let Some(bad) = worth.iter().find(|worth| !worth.is_finite()) {
            let hint = "check the student's answers and the worth";
            return Err(error::non_finite(
                "worth of a coalition",
                "a number",
                bad.to_string(),
                hint,
            ));
        }
        let all = worth.len() - 1;
        let alone =
            |metric: &str, value| Measurement { metric: metric.into(), modality: None, value };
        let mut found = vec![alone("worth_all", worth[all]), alone("worth_none", worth[0])];
        for (m, modality) in modalities.iter().enumerate() {
            let without = (0..=all).filter(|set| set & (1 << m) == 0);
            let gain = |set: usize| weight(set, k) * (worth[set | (1 << m)] - worth[set]);
            found.push(Measurement::new("shapley", modality, without.map(gain).sum()));
            if worth[all] > 0.0 {
                let rate = (worth[all] - worth[all ^ (1 << m)]) / worth[all];
                found.push(Measurement::new("utilisation_rate", modality, rate));
            }
        }
        Ok(found)
    }

    fn check(&self, k: usize) -> Result<()> {
        if k > 8 {
            return Err(error::config(
                "modalities for Shapley",
                "at most 8, since every coalition is one fusion of all data",
                format!("{k}"),
                "measure fewer modalities, or use a linear probe",
            ));
        }
        match &self.baseline {
            Baseline::Input(inputs) if inputs.len() != k => Err(error::config(
                "inputs of `Baseline::Input`",
                format!("{k}, one a modality"),
                format!("{}", inputs.len()),
                "give them in the student's order",
            )),
            _ => Ok(()),
        }
    }

    /// v of every coalition; bit m of its index says whether m is in.
    fn coalitions(&self, student: &dyn Student, batches: &[Batch]) -> Result<Vec<f64>> {
        let k = student.modalities().len();
        let mut answers: Vec<Vec<Tensor>> = (0..1 << k).map(|_| Vec::new()).collect();
        let mut targets = Vec::new();
        let mut absent: Option<(Vec<Vec<i64>>, Vec<Tensor>)> = None;
        for batch in batches {
            batch.check(student.modalities(), batch.device())?;
            let Some(batch) = complete(batch)? else { continue };
            let features =
                (0..k).map(|m| student.encode(m, &batch, false)).collect::<Result<Vec<_>>>()?;
            let shapes: Vec<_> = batch.inputs().iter().map(Tensor::size).collect();
            if absent.as_ref().is_none_or(|(of, _)| *of != shapes) {
                absent = Some((shapes, self.stand_ins(student, &batch, &features)?));
            }
            let Some((_, absent)) = &absent else { continue };
            for (set, answers) in answers.iter_mut().enumerate() {
                let own = |m: usize| if set & (1 << m) == 0 { &absent[m] } else { &features[m] };
                let own: Vec<Tensor> = (0..k).map(|m| own(m).shallow_clone()).collect();
                answers.push(to_host(&student.fuse(&own, false)?)?);
            }
            targets.push(to_host(batch.targets())?);
        }
        if targets.is_empty() {
            return Err(no_sample("every modality"));
        }
        let targets = cat(&targets)?;
        answers.iter().map(|parts| (self.value)(&cat(parts)?, &targets)).collect()
    }

    /// Features that stand in for each modality, for batches of this shape.
    fn stand_ins(
        &self,
        student: &dyn Student,
        batch: &Batch,
        features: &[Tensor],
    ) -> Result<Vec<Tensor>> {
        let inputs: Vec<Tensor> = match &self.baseline {
            Baseline::ZeroFeatures => {
                let zeros = |f: &Tensor| f.f_zeros_like().map_err(failed);
                return features.iter().map(zeros).collect();
            }
            Baseline::ZeroInput => {
                let zeros = |input: &Tensor| input.f_zeros_like().map_err(failed);
                batch.inputs().iter().map(zeros).collect::<Result<_>>()?
            }
            Baseline::Input(own) => {
                let each = own.iter().zip(batch.inputs()).map(|(own, input)| like(own, input));
                each.collect::<Result<_>>()?
            }
        };
        let empty = Batch::new(inputs, batch.targets().shallow_clone());
        (0..features.len()).map(|m| student.encode(m, &empty, false)).collect()
    }
}

impl fmt::Debug for Shapley {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shapley").field("baseline", &self.baseline).finish_non_exhaustive()
    }
}

/// |S|! (k − |S| − 1)! / k! of the coalition `set` of k modalities.
fn weight(set: usize, k: usize) -> f64 {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    let size = set.count_ones() as usize;
    factorial(size) * factorial(k - size - 1) / factorial(k)
}

/// One sample's input repeated for every row of `input`.
fn like(own: &Tensor, input: &Tensor) -> Result<Tensor> {
    if own.size() != input.size()[1..] {
        return Err(error::shape(
            "input of `Baseline::Input`",
            format!("{:?}, one sample's", &input.size()[1..]),
            format!("{:?}", own.size()),
            "leave the batch dimension out",
        ));
    }
    let repeat = || own.f_to_device(input.device())?.f_to_kind(input.kind())?.f_expand_as(input);
    repeat().map_err(failed)
}

/// The samples that have every modality.
fn complete(batch: &Batch) -> Result<Option<Batch>> {
    let samples = batch.size() as usize;
    let flags = (0..batch.inputs().len()).filter_map(|m| batch.present(m));
    let both = |all: Vec<bool>, own: &[bool]| all.iter().zip(own).map(|(a, b)| *a && *b).collect();
    let rows = Rows::from_present(&flags.fold(vec![true; samples], both), batch.device())?;
    if rows.is_missing() {
        return Ok(None);
    }
    let inputs = batch.inputs().iter().map(|input| rows.select(input));
    let whole = Batch::new(inputs.collect::<Result<Vec<_>>>()?, rows.select(batch.targets())?);
    let Some(ids) = batch.ids() else { return Ok(Some(whole)) };
    let kept = to_host(&rows.select(&Tensor::from_slice(ids).to_device(batch.device()))?)?;
    Ok(Some(whole.with_ids(Vec::<i64>::try_from(kept.to_device(Device::Cpu)).map_err(failed)?)))
}

fn no_sample(what: &str) -> crate::error::Error {
    error::config(
        "held-out batches",
        format!("at least one sample that has {what}"),
        "none",
        "give the measure complete samples",
    )
}
