//! Epoch means of a metric, one per modality: the state of most probes.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::error::{self, Result};
use crate::mean::{Mean, MeanState};
use crate::modality::Modality;
use crate::state::State;
use crate::step::{Measurement, Observation};

/// The means of one metric over the current epoch. They stay on the device until they are taken.
#[derive(Debug)]
pub(super) struct Means {
    metric: &'static str,
    each: Vec<(Option<Modality>, Mean)>,
}

type MeansState = Vec<(Option<Modality>, MeanState)>;

/// Implements `state`, `restore` and `combine` of a probe whose whole state is the [`Means`] in these fields.
macro_rules! means_state {
    ($($field:ident),+) => {
        fn state(&self) -> Result<crate::state::State> {
            Means::save(&[$(&self.$field),+])
        }

        fn restore(&mut self, state: &crate::state::State) -> Result<()> {
            Means::restore(state, &mut [$(&mut self.$field),+])
        }

        fn combine(
            &mut self,
            modalities: &[crate::modality::Modality],
            sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
        ) -> Result<()> {
            [$(&mut self.$field),+].into_iter().try_for_each(|means| means.combine(modalities, sum))
        }
    };
}

impl Means {
    pub(super) fn new(metric: &'static str) -> Self {
        Self { metric, each: Vec::new() }
    }

    /// Returns whether there is no mean.
    pub(super) fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// The mean of modality `m`.
    pub(super) fn modality(&mut self, modalities: &[Modality], m: usize) -> &mut Mean {
        if self.each.is_empty() {
            self.each = modalities.iter().map(|m| (Some(m.clone()), Mean::default())).collect();
        }
        &mut self.each[m].1
    }

    /// The only mean of a metric that describes the whole model.
    pub(super) fn whole_model(&mut self) -> &mut Mean {
        if self.each.is_empty() {
            self.each.push((None, Mean::default()));
        }
        &mut self.each[0].1
    }

    /// Adds a mean over the samples of the batch that have modality `m`, weighted by their number.
    pub(super) fn add(&mut self, step: &Observation<'_>, m: usize, value: &Tensor) -> Result<()> {
        self.modality(step.modalities(), m).add(value, step.samples(m) as f64)
    }

    /// Reads the means that have a value in one transfer, and starts a new epoch.
    pub(super) fn take(&mut self) -> Result<Vec<Measurement>> {
        let (modalities, means): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.each).into_iter().unzip();
        let values = Mean::read_all(&means)?;
        let measurement = |(modality, value): (_, Option<f64>)| {
            Some(Measurement { metric: self.metric.to_owned(), modality, value: value? })
        };
        Ok(modalities.into_iter().zip(values).filter_map(measurement).collect())
    }

    /// [`take`](Self::take), followed by the measurements of `ratio`: the mean over j ≠ m of x^m / x^j
    /// for every mean x^m, without those that are not finite.
    pub(super) fn take_with_ratios(&mut self, ratio: &str) -> Result<Vec<Measurement>> {
        let means = self.take()?;
        let ratio = |(m, own): (usize, &Measurement)| {
            let others = means.iter().enumerate().filter(|&(j, _)| j != m);
            let sum: f64 = others.map(|(_, other)| own.value / other.value).sum();
            let (metric, value) = (ratio.to_owned(), sum / means.len().saturating_sub(1) as f64);
            value.is_finite().then(|| Measurement { metric, value, ..own.clone() })
        };
        let ratios: Vec<_> = means.iter().enumerate().filter_map(ratio).collect();
        Ok([means, ratios].concat())
    }

    /// Adds up the means over all ranks, by `sum`, which adds up numbers. A rank may have none yet.
    pub(super) fn combine(
        &mut self,
        modalities: &[Modality],
        sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        let names: Vec<Option<&Modality>> =
            modalities.iter().map(Some).chain(std::iter::once(None)).collect();
        let find =
            |name: &Option<&Modality>| self.each.iter().find(|(own, _)| own.as_ref() == *name);
        let none = Mean::default();
        let own = names.iter().map(|name| find(name).map_or(&none, |(_, mean)| mean));
        let all = sum(&Mean::sums(own)?)?;
        let named = names.into_iter().zip(all.chunks(2));
        let known = named.filter(|(_, all)| all[1] > 0.0);
        self.each =
            known.map(|(name, all)| (name.cloned(), Mean::from_sum(all[0], all[1]))).collect();
        Ok(())
    }

    /// The state of a probe that holds `all`; synchronises with the device.
    pub(super) fn save(all: &[&Self]) -> Result<State> {
        let means = |means: &&Self| {
            let each = means.each.iter().map(|(m, mean)| Ok((m.clone(), mean.state()?)));
            Ok((means.metric, each.collect::<Result<MeansState>>()?))
        };
        State::new(&all.iter().map(means).collect::<Result<BTreeMap<_, _>>>()?)
    }

    /// Restores the state that [`save`](Self::save) returned for the same metrics.
    pub(super) fn restore(state: &State, all: &mut [&mut Self]) -> Result<()> {
        let metrics: Vec<_> = all.iter().map(|means| means.metric).collect();
        let mut saved: BTreeMap<String, MeansState> =
            state.read(&format!("the probe of {metrics:?}"))?;
        if saved.len() != all.len() || !metrics.iter().all(|name| saved.contains_key(*name)) {
            let [here, there] = [format!("{metrics:?}"), format!("{:?}", saved.keys())];
            return Err(error::foreign_state("metrics in the state of a probe", here, there));
        }
        for means in all {
            let each = saved.remove(means.metric).unwrap_or_default();
            means.each = each.into_iter().map(|(m, mean)| (m, mean.into())).collect();
        }
        Ok(())
    }
}
