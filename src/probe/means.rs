//! One metric's mean for every modality: what most probes remember between steps.

use std::collections::BTreeMap;

use crate::mean::{Mean, MeanState};
use crate::{
    error::{self, Result},
    modality::Modality,
    state::State,
    step::Measurement,
};

/// The means of one metric over the epoch so far, on the device.
#[derive(Debug)]
pub(super) struct Means {
    metric: &'static str,
    each: Vec<(Option<Modality>, Mean)>,
}

type MeansState = Vec<(Option<Modality>, MeanState)>;

impl Means {
    pub(super) fn new(metric: &'static str) -> Self {
        Self { metric, each: Vec::new() }
    }

    /// The mean of modality `m`.
    pub(super) fn of(&mut self, modalities: &[Modality], m: usize) -> &mut Mean {
        if self.each.is_empty() {
            self.each = modalities.iter().map(|m| (Some(m.clone()), Mean::default())).collect();
        }
        &mut self.each[m].1
    }

    /// The only mean of a metric that is of no modality.
    pub(super) fn of_all(&mut self) -> &mut Mean {
        if self.each.is_empty() {
            self.each.push((None, Mean::default()));
        }
        &mut self.each[0].1
    }

    /// Reads the means that counted something, in one host, and starts anew.
    pub(super) fn take(&mut self) -> Result<Vec<Measurement>> {
        let (names, means): (Vec<_>, Vec<_>) = std::mem::take(&mut self.each).into_iter().unzip();
        let values = Mean::read_all(&means)?;
        let measured = |(modality, value): (_, Option<f64>)| {
            Some(Measurement { metric: self.metric.to_owned(), modality, value: value? })
        };
        Ok(names.into_iter().zip(values).filter_map(measured).collect())
    }

    /// What a probe that holds `all` remembers; waits for the device.
    pub(super) fn save(all: &[&Self]) -> Result<State> {
        let each = |means: &&Self| {
            let each = means.each.iter().map(|(m, mean)| Ok((m.clone(), mean.state()?)));
            Ok((means.metric, each.collect::<Result<MeansState>>()?))
        };
        State::new(&all.iter().map(each).collect::<Result<BTreeMap<_, _>>>()?)
    }

    /// Takes back what [`save`](Self::save) said of a probe with the same metrics.
    pub(super) fn restore(state: &State, all: &mut [&mut Self]) -> Result<()> {
        let metrics: Vec<_> = all.iter().map(|means| means.metric).collect();
        let mut saved: BTreeMap<String, MeansState> =
            state.read(&format!("the probe of {metrics:?}"))?;
        if saved.len() != all.len() || !metrics.iter().all(|name| saved.contains_key(*name)) {
            return Err(error::config(
                "state of a probe",
                format!("the metrics {metrics:?}"),
                format!("{:?}", saved.keys()),
                "resume with the probes that the run was started with, in their order",
            ));
        }
        for means in all {
            let each = saved.remove(means.metric).unwrap_or_default();
            means.each = each.into_iter().map(|(m, mean)| (m, mean.into())).collect();
        }
        Ok(())
    }
}
