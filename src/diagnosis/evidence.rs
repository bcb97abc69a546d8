//! What is known of a run.

use serde::{Deserialize, Serialize};

use crate::{
    error::{self, Result},
    modality::Modality,
    step::{EpochReport, Measurement},
};

/// Which way a metric improves, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// A share in [0, 1] that should be high, written as a percentage.
    HighShare,
    /// A value that should be high, such as R².
    High,
    /// A value that should be low, such as an RMSE.
    Low,
}

/// The metric that heads, teachers and the fused model are compared by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name in sentences, such as "accuracy".
    pub name: String,
    /// Which way it improves.
    pub better: Better,
    /// What a model that knows nothing gets: all comparisons are of what is beyond it.
    pub chance: f64,
}

impl Metric {
    /// Accuracy over `classes` classes of equal size: chance is 1 / C.
    pub fn accuracy(classes: u32) -> Self {
        let chance = 1.0 / f64::from(classes.max(1));
        Self { name: "accuracy".into(), better: Better::HighShare, chance }
    }

    /// An error called `name`, of which a model that always says the targets' mean gets `chance`: for
    /// an RMSE the targets' standard deviation.
    pub fn error(name: impl Into<String>, chance: f64) -> Self {
        Self { name: name.into(), better: Better::Low, chance }
    }

    /// How much better than chance `value` is, in the metric's unit.
    pub(super) fn gain(&self, value: f64) -> f64 {
        match self.better {
            Better::HighShare | Better::High => value - self.chance,
            Better::Low => self.chance - value,
        }
    }
}

/// What a [`Diagnosis`](crate::diagnosis::Diagnosis) judges: fill in what is known, leave out the rest.
///
/// Metrics belong to validation data, not to training data, where every model looks good. A vector
/// is empty, or has a value a modality, in the order of `modalities`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The metric of `fused`, `teachers`, `heads` and `probes`.
    pub metric: Metric,
    /// The modalities.
    pub modalities: Vec<Modality>,
    /// The fused model's metric: [`Predictions::accuracy`](crate::trainer::Predictions::accuracy) of
    /// [`evaluate`](crate::trainer::evaluate).
    pub fused: Option<f64>,
    /// Each teacher's, of [`evaluate_teacher`](crate::trainer::evaluate_teacher).
    pub teachers: Vec<Option<f64>>,
    /// Each head slice's: [`Predictions::head_accuracy`](crate::trainer::Predictions::head_accuracy).
    pub heads: Vec<Option<f64>>,
    /// Each encoder's linear probe, of [`LinearProbe`](crate::probe::held_out::LinearProbe) with the same metric.
    pub probes: Vec<Option<f64>>,
    /// The same before training: random features are often worth much, and what counts as learnt is
    /// beyond them. Where it is not known, all that is beyond chance counts.
    pub untrained: Vec<Option<f64>>,
    /// φ of [`Shapley`](crate::probe::held_out::Shapley); its worth must rise as the model improves.
    pub contributions: Vec<Option<f64>>,
    /// Teachers' mean ρ on the training batches.
    pub confidence: Vec<Option<f64>>,
    /// Mean gradient norms.
    pub gradient_norms: Vec<Option<f64>>,
    /// κ of every modality, epoch by epoch.
    pub kappa: Vec<Vec<f64>>,
    /// How many epochs a run has; by default those of `kappa`.
    pub epochs: Option<u64>,
}

impl Evidence {
    /// Nothing known yet of these modalities.
    pub fn new(metric: Metric, modalities: &[Modality]) -> Self {
        Self {
            metric,
            modalities: modalities.to_vec(),
            fused: None,
            teachers: Vec::new(),
            heads: Vec::new(),
            probes: Vec::new(),
            untrained: Vec::new(),
            contributions: Vec::new(),
            confidence: Vec::new(),
            gradient_norms: Vec::new(),
            kappa: Vec::new(),
            epochs: None,
        }
    }

    /// Takes the heads' metric, as [`Predictions::head_accuracy`](crate::trainer::Predictions::head_accuracy)
    /// gives it.
    pub fn heads(mut self, heads: &[(Modality, f64)]) -> Self {
        let of = |m: &Modality| heads.iter().find(|(name, _)| name == m).map(|(_, value)| *value);
        self.heads = self.modalities.iter().map(of).collect();
        self
    }

    /// Takes κ, ρ and the probes' measurements from the epochs of a run: κ of all, the rest of the last.
    pub fn reports(mut self, reports: &[EpochReport]) -> Self {
        self.kappa = reports.iter().map(|report| report.kappa.clone()).collect();
        match reports.last() {
            None => self,
            Some(last) => {
                self.confidence.clone_from(&last.confidence);
                self.measurements(&last.measurements)
            }
        }
    }

    /// Takes `linear_probe`, `shapley` and `gradient_norm` where they were measured.
    pub fn measurements(mut self, found: &[Measurement]) -> Self {
        let of = |metric: &str, known: Vec<Option<f64>>| {
            let value = |m: &Modality| {
                let is = |found: &&Measurement| {
                    found.metric == metric && found.modality.as_ref() == Some(m)
                };
                found.iter().find(is).map(|found| found.value)
            };
            let measured: Vec<_> = self.modalities.iter().map(value).collect();
            if measured.iter().all(Option::is_none) { known } else { measured }
        };
        self.probes = of("linear_probe", self.probes);
        self.contributions = of("shapley", self.contributions);
        self.gradient_norms = of("gradient_norm", self.gradient_norms);
        self
    }

    /// The value of modality `m`, where there is one.
    pub(super) fn of(values: &[Option<f64>], m: usize) -> Option<f64> {
        values.get(m).copied().flatten()
    }

    pub(super) fn check(&self) -> Result<()> {
        let k = self.modalities.len();
        let all = [
            ("teachers", &self.teachers),
            ("heads", &self.heads),
            ("probes", &self.probes),
            ("untrained", &self.untrained),
            ("contributions", &self.contributions),
            ("confidence", &self.confidence),
            ("gradient_norms", &self.gradient_norms),
        ];
        let wrong = |len: usize| len != 0 && len != k;
        let lengths = all.iter().map(|(name, values)| (*name, values.len()));
        let kappa = self.kappa.iter().map(|kappa| ("kappa", kappa.len()));
        if let Some((name, len)) = lengths.chain(kappa).find(|(_, len)| wrong(*len)) {
            return Err(error::config(
                format!("{name} of the evidence"),
                format!("{k} values, one for each of {:?}, or none", self.modalities),
                len.to_string(),
                "put `None` where a modality's value is not known",
            ));
        }
        let numbers = all.iter().flat_map(|(name, own)| own.iter().flatten().map(|v| (*name, *v)));
        let alone = self.fused.map(|v| ("fused", v));
        let chance = ("chance", self.metric.chance);
        match numbers.chain(alone).chain([chance]).find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((name, value)) => Err(error::non_finite(
                format!("{name} of the evidence"),
                "finite numbers",
                value.to_string(),
                "leave out what is not known",
            )),
        }
    }
}
