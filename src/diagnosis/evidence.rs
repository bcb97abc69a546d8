//! The evidence of a diagnosis.

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};
use crate::modality::Modality;
use crate::number;
use crate::step::{EpochReport, Measurement};

/// The direction in which a metric improves, which also selects its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// A share in [0, 1], higher is better, such as an accuracy; written as a percentage.
    HighShare,
    /// Higher is better, such as R².
    High,
    /// Lower is better, such as an RMSE.
    Low,
}

/// The metric by which heads, teachers and the fused model are compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Name of the metric in a sentence, such as "accuracy".
    pub name: String,
    /// The direction in which it improves.
    pub better: Better,
    /// The chance level: the value of a model that ignores its input. Comparisons are of gains over it.
    #[serde(with = "number")]
    pub chance: f64,
}

impl Metric {
    /// The accuracy over `classes` classes of equal size, whose chance level is 1 / C.
    pub fn accuracy(classes: u32) -> Self {
        let chance = 1.0 / f64::from(classes.max(1));
        Self { name: "accuracy".into(), better: Better::HighShare, chance }
    }

    /// An error metric, whose chance level is that of predicting the mean of the targets: for an RMSE
    /// their standard deviation.
    pub fn error(name: impl Into<String>, chance: f64) -> Self {
        Self { name: name.into(), better: Better::Low, chance }
    }

    /// The improvement of `value` over the chance level, in the metric's unit.
    pub(super) fn gain(&self, value: f64) -> f64 {
        match self.better {
            Better::HighShare | Better::High => value - self.chance,
            Better::Low => self.chance - value,
        }
    }
}

/// The evidence of a [`Diagnosis`](super::Diagnosis), as far as it is known. That of a recorded run is
/// [`Run::evidence`](crate::record::Run::evidence).
///
/// Each vector is empty or has one value per modality, in the order of `modalities`. Metrics should be
/// measured on validation data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The metric of `fused`, `teachers`, `alternatives`, `heads`, `probes` and `untrained`.
    pub metric: Metric,
    /// The modalities.
    pub modalities: Vec<Modality>,
    /// The fused model, from [`evaluate`](crate::evaluate), for example
    /// [`Predictions::accuracy`](crate::trainer::Predictions::accuracy).
    pub fused: Option<f64>,
    /// The teachers, from [`evaluate_teacher`](crate::trainer::evaluate_teacher).
    pub teachers: Vec<Option<f64>>,
    /// What there is without this run, by name, such as the calibrated ensemble of the teachers
    /// ([`Calibration::ensemble`](crate::calibration::Calibration::ensemble)) or a model that was trained
    /// jointly.
    #[serde(default)]
    pub alternatives: Vec<(String, f64)>,
    /// The unimodal heads, for example
    /// [`Predictions::head_accuracy`](crate::trainer::Predictions::head_accuracy).
    pub heads: Vec<Option<f64>>,
    /// A [`LinearProbe`](crate::probe::held_out::LinearProbe) of each encoder.
    pub probes: Vec<Option<f64>>,
    /// The same before training. Features of random weights are often better than chance, so an encoder
    /// has learned only what exceeds them.
    pub untrained: Vec<Option<f64>>,
    /// φ of [`Shapley`](crate::probe::held_out::Shapley).
    pub contributions: Vec<Option<f64>>,
    /// Mean ρ of the teachers on the training batches.
    pub confidence: Vec<Option<f64>>,
    /// Mean gradient norm of each encoder.
    pub gradient_norms: Vec<Option<f64>>,
    /// κ of every modality in each epoch.
    pub kappa: Vec<Vec<f64>>,
    /// Number of epochs of the run; by default the length of `kappa`.
    pub epochs: Option<u64>,
}

impl Evidence {
    /// Evidence without values.
    pub fn new(metric: Metric, modalities: &[Modality]) -> Self {
        Self {
            metric,
            modalities: modalities.to_vec(),
            fused: None,
            teachers: Vec::new(),
            alternatives: Vec::new(),
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

    /// Sets `heads` from the result of
    /// [`Predictions::head_accuracy`](crate::trainer::Predictions::head_accuracy).
    pub fn with_heads(mut self, heads: &[(Modality, f64)]) -> Self {
        let of = |m: &Modality| heads.iter().find(|(name, _)| name == m).map(|(_, value)| *value);
        self.heads = self.modalities.iter().map(of).collect();
        self
    }

    /// Sets `kappa` from all epochs of a run, and `confidence` and the measurements from the last one.
    pub fn with_reports(mut self, reports: &[EpochReport]) -> Self {
        self.kappa = reports.iter().map(|report| report.kappa.clone()).collect();
        let Some(last) = reports.last() else { return self };
        self.confidence.clone_from(&last.confidence);
        self.with_measurements(&last.measurements)
    }

    /// Sets `probes`, `contributions` and `gradient_norms` from the measurements `linear_probe`,
    /// `shapley` and `gradient_norm`, where present.
    pub fn with_measurements(mut self, found: &[Measurement]) -> Self {
        for (metric, values) in [
            ("linear_probe", &mut self.probes),
            ("shapley", &mut self.contributions),
            ("gradient_norm", &mut self.gradient_norms),
        ] {
            let of = |m: &Modality| {
                let mut found = found.iter();
                found.find(|one| one.metric == metric && one.modality.as_ref() == Some(m))
            };
            let measured: Vec<_> =
                self.modalities.iter().map(|m| of(m).map(|one| one.value)).collect();
            if measured.iter().any(Option::is_some) {
                *values = measured;
            }
        }
        self
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
        let lengths = all.iter().map(|(name, values)| (*name, values.len()));
        let mut lengths = lengths.chain(self.kappa.iter().map(|kappa| ("kappa", kappa.len())));
        if let Some((name, len)) = lengths.find(|(_, len)| *len != 0 && *len != k) {
            let what = format!("{name} of the evidence");
            let expected = format!("{k} values, one for each of {:?}, or none", self.modalities);
            return Err(error::config(what, expected, len, "use `None` for an unknown value"));
        }
        let each = all.iter().flat_map(|(name, own)| own.iter().flatten().map(|v| (*name, *v)));
        let fused = self.fused.map(|value| ("fused", value));
        let kappa = self.kappa.iter().flatten().map(|kappa| ("kappa", *kappa));
        let alternatives = self.alternatives.iter().map(|(name, value)| (name.as_str(), *value));
        let chance = [("chance", self.metric.chance)];
        let mut values = each.chain(kappa).chain(fused).chain(alternatives).chain(chance);
        match values.find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((name, value)) => {
                let what = format!("{name} of the evidence");
                Err(error::non_finite(what, "finite values", value, "omit an unknown value"))
            }
        }
    }
}
