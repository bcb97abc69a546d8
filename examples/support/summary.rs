//! The results of one seed, as a table and as JSON.

use std::{collections::BTreeMap, fmt};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use g2d::Modality;
use serde::{Deserialize, Serialize};

use super::{
    baselines::Baseline,
    methods::Method,
    metric::{ResultMetric, Scores},
};

/// The results of one seed.
#[derive(Debug, Serialize)]
pub struct SeedSummary {
    pub seed: u64,
    pub teachers: BTreeMap<String, TeacherSummary>,
    pub methods: BTreeMap<String, MethodSummary>,
    /// What needs no student.
    pub baselines: BTreeMap<Baseline, Scores>,
    #[serde(skip)]
    pub modalities: Vec<String>,
    /// The metrics; the first selects weights and decides claims.
    #[serde(skip)]
    pub metrics: Vec<ResultMetric>,
}

/// The results of a teacher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TeacherSummary {
    /// All metrics on validation and test data.
    #[serde(flatten)]
    pub scores: Scores,
    /// ρ on the training data.
    pub train_confidence: f64,
}

/// The results of the student of a method.
#[derive(Debug, Serialize, Deserialize)]
pub struct MethodSummary {
    /// All metrics on test data, and the first on validation data.
    #[serde(flatten)]
    pub scores: Scores,
    /// The first metric of each unimodal head on test data.
    pub heads: BTreeMap<String, f64>,
    /// The mean κ of each encoder over all epochs.
    pub kappa: BTreeMap<String, f64>,
    /// The metrics of each prediction that is made of fused logits and heads; empty for a regression.
    #[serde(default)]
    pub predictions: BTreeMap<String, Scores>,
    /// The prediction of the method, whose metrics are `scores`.
    #[serde(default)]
    pub prediction: String,
    /// The seconds of a step, with the passes between epochs and without the loading of data; comparable
    /// between methods that were trained one at a time (`--jobs 1`). `None` in older results.
    #[serde(default)]
    pub seconds_per_step: Option<f64>,
}

impl SeedSummary {
    pub fn new(seed: u64, modalities: &[Modality], metrics: &[ResultMetric]) -> Self {
        Self {
            seed,
            teachers: BTreeMap::new(),
            methods: BTreeMap::new(),
            baselines: BTreeMap::new(),
            modalities: modalities.iter().map(|m| m.name().to_owned()).collect(),
            metrics: metrics.to_vec(),
        }
    }

    /// A row of the table: the name, the metrics, the unimodal heads, and ρ.
    fn row(
        &self,
        name: String,
        scores: &Scores,
        heads: Option<&BTreeMap<String, f64>>,
        rho: Option<f64>,
    ) -> Vec<String> {
        let test = |metric: &ResultMetric| {
            scores.get(&metric.key_on("test")).map(|value| metric.format(*value))
        };
        let head = |m: &String| Some(self.metrics[0].format(*heads?.get(m)?));
        let scores = self.metrics.iter().map(test);
        let heads = self.modalities.iter().map(head);
        let rho = rho.map(|rho| format!("{rho:.3}"));
        let cells = scores.chain(heads).chain([rho]).map(Option::unwrap_or_default);
        std::iter::once(name).chain(cells).collect()
    }
}

impl fmt::Display for SeedSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(UTF8_BORDERS_ONLY);
        let metrics = self.metrics.iter().map(|metric| format!("test {}", metric.title()));
        let heads = self.modalities.iter().map(|m| format!("{m} head"));
        let header = std::iter::once(String::new()).chain(metrics).chain(heads);
        table.set_header(header.chain(["ρ on training data".to_owned()]));
        for modality in &self.modalities {
            if let Some(teacher) = self.teachers.get(modality) {
                let (name, rho) = (format!("teacher {modality}"), teacher.train_confidence);
                table.add_row(self.row(name, &teacher.scores, None, Some(rho)));
            }
        }
        for (baseline, scores) in &self.baselines {
            table.add_row(self.row(baseline.to_string(), scores, None, None));
        }
        for method in Method::every() {
            if let Some(found) = self.methods.get(method.key()) {
                let heads = Some(&found.heads);
                table.add_row(self.row(method.to_string(), &found.scores, heads, None));
            }
        }
        write!(f, "{table}")
    }
}
