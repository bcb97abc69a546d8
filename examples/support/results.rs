//! Several seeds together: results.json, table.md and a figure.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use g2d::report::Theme;
use serde::Serialize;

use super::{
    claims::{Claim, judge},
    figure,
    methods::Method,
    metric::{Metric, Scores},
    statistics::Estimate,
    summary::{MethodSummary, Summary, TeacherSummary},
};

/// Values on test data, each of the weights that were best on validation data.
#[derive(Debug, Serialize)]
pub struct Results {
    pub data: String,
    pub setting: String,
    /// The one that decides first.
    pub metrics: Vec<Metric>,
    pub seeds: Vec<u64>,
    pub teachers: BTreeMap<String, TeacherResult>,
    /// The first metric of the teacher that is best on test data, seed by seed.
    pub better_teacher: Estimate,
    pub methods: BTreeMap<String, MethodResult>,
    /// What can be had without looking at the inputs, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines: BTreeMap<String, Estimates>,
    pub claims: Vec<Claim>,
    #[serde(skip)]
    pub modalities: Vec<String>,
}

/// Estimates by metric and split.
pub type Estimates = BTreeMap<String, Estimate>;

/// A teacher's summary in means over seeds, and their intervals.
#[derive(Debug, Serialize)]
pub struct TeacherResult {
    #[serde(flatten)]
    pub means: TeacherSummary,
    pub intervals: TeacherIntervals,
}

#[derive(Debug, Serialize)]
pub struct TeacherIntervals {
    /// `test_*`.
    #[serde(flatten)]
    pub scores: Estimates,
    /// ρ over the training set.
    pub train_confidence: Estimate,
}

/// A method's summary in means over seeds, the first metric on test data, and the other intervals.
#[derive(Debug, Serialize)]
pub struct MethodResult {
    #[serde(flatten)]
    pub means: MethodSummary,
    #[serde(flatten)]
    pub test: Estimate,
    pub intervals: MethodIntervals,
}

#[derive(Debug, Serialize)]
pub struct MethodIntervals {
    /// The first metric's `val_*`, the others' `test_*`.
    #[serde(flatten)]
    pub scores: Estimates,
    /// The first metric of each modality's head alone.
    pub heads: Estimates,
    /// Mean κ of each encoder over all epochs.
    pub kappa: Estimates,
}

/// Each estimate's mean.
fn means(estimates: &Estimates) -> Scores {
    estimates.iter().map(|(key, estimate)| (key.clone(), estimate.mean)).collect()
}

impl Results {
    pub fn new(data: &str, setting: &str, summaries: &[Summary]) -> Result<Self> {
        let first = summaries.first().context("no seed was run")?;
        let metric = *first.metrics.first().context("no metric was measured")?;
        let over = |value: &dyn Fn(&Summary) -> f64| Estimate::of(summaries.iter().map(value));
        let each = |keys: &Scores, value: &dyn Fn(&Summary, &str) -> f64| -> Estimates {
            keys.keys().map(|key| (key.clone(), over(&|s| value(s, key)))).collect()
        };
        let teachers = first.teachers.iter().map(|(m, teacher)| {
            let intervals = TeacherIntervals {
                scores: each(&teacher.scores, &|s, key| s.teachers[m].scores[key]),
                train_confidence: over(&|s| s.teachers[m].train_confidence),
            };
            let means = TeacherSummary {
                scores: means(&intervals.scores),
                train_confidence: intervals.train_confidence.mean,
            };
            (m.clone(), TeacherResult { means, intervals })
        });
        let methods = first.methods.iter().map(|(method, found)| {
            let mut scores = each(&found.scores, &|s, key| s.methods[method].scores[key]);
            let heads = each(&found.heads, &|s, m| s.methods[method].heads[m]);
            let kappa = each(&found.kappa, &|s, m| s.methods[method].kappa[m]);
            let means = MethodSummary {
                scores: means(&scores),
                heads: means(&heads),
                kappa: means(&kappa),
            };
            let test = scores.remove(&metric.on("test")).context("no value on test data")?;
            let intervals = MethodIntervals { scores, heads, kappa };
            Ok((method.clone(), MethodResult { means, test, intervals }))
        });
        let baselines = first.baselines.iter().map(|(name, scores)| {
            (
                name.clone(),
                each(scores, &|s, key| s.baselines[name].get(key).copied().unwrap_or(f64::NAN)),
            )
        });
        let best = |s: &Summary| {
            let teachers = s.teachers.values().map(|t| t.scores[&metric.on("test")]);
            teachers.reduce(|a, b| metric.better_of(a, b)).unwrap_or(f64::NAN)
        };
        let mut results = Self {
            data: data.to_owned(),
            setting: setting.to_owned(),
            metrics: first.metrics.clone(),
            seeds: summaries.iter().map(|s| s.seed).collect(),
            teachers: teachers.collect(),
            better_teacher: over(&best),
            methods: methods.collect::<Result<_>>()?,
            baselines: baselines.collect(),
            claims: Vec::new(),
            modalities: first.modalities.clone(),
        };
        results.claims = judge(&results);
        Ok(results)
    }

    /// The metric that decides.
    pub fn metric(&self) -> &Metric {
        &self.metrics[0]
    }

    /// Writes `results.json`, `table.md`, `figure.svg` and `figure.png` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        write("results.json", serde_json::to_string_pretty(self)? + "\n")?;
        write("table.md", self.table()?)?;
        Ok(figure::of(self).write(folder, Theme::Light)?)
    }

    /// The tables, in Markdown.
    pub fn table(&self) -> Result<String> {
        let mut text = String::new();
        let out = &mut text;
        writeln!(
            out,
            "{}; {}; seeds {:?}; mean ± half the 95 % interval.\n",
            self.data, self.setting, self.seeds
        )?;
        let k = self.modalities.len();
        let metrics: String =
            self.metrics.iter().map(|m| format!(" test {} |", m.title())).collect();
        let heads: String = self.modalities.iter().map(|m| format!(" {m} head |")).collect();
        let kappas: String = self.modalities.iter().map(|m| format!(" κ {m} |")).collect();
        writeln!(out, "| |{metrics}{heads} ρ (training) |{kappas}")?;
        writeln!(out, "|---|{}", "---|".repeat(self.metrics.len() + 1 + 2 * k))?;
        let blank = " |".repeat(k);
        for (name, scores) in &self.baselines {
            writeln!(out, "| {name} |{}{blank} |{blank}", self.scores(None, scores))?;
        }
        for name in &self.modalities {
            let Some(teacher) = self.teachers.get(name) else { continue };
            let (scores, rho) =
                (self.scores(None, &teacher.intervals.scores), teacher.means.train_confidence);
            writeln!(out, "| teacher {name} |{scores}{blank} {rho:.3} |{blank}")?;
        }
        for method in Method::ALL {
            let Some(found) = self.methods.get(method.key()) else { continue };
            let scores = self.scores(Some(&found.test), &found.intervals.scores);
            let head =
                |m: &String| Some(format!(" {} |", self.show(0, found.intervals.heads.get(m)?)));
            let kappa = |m: &String| Some(format!(" {:.2} |", found.means.kappa.get(m)?));
            let or_blank = |cell: Option<String>| cell.unwrap_or_else(|| " |".to_owned());
            let heads: String = self.modalities.iter().map(|m| or_blank(head(m))).collect();
            let kappas: String = self.modalities.iter().map(|m| or_blank(kappa(m))).collect();
            writeln!(out, "| {method} |{scores}{heads} |{kappas}")?;
        }
        writeln!(out, "\n| claim | verdict | differences, seed by seed |\n|---|---|---|")?;
        for Claim { claim, verdict, differences } in &self.claims {
            let metric = self.metric();
            let signed = |d: &Estimate| {
                format!("{} ± {}", metric.signed(d.mean), metric.show(d.half_width()))
            };
            let each = differences.iter().map(|(what, d)| format!("{what}: {}", signed(d)));
            writeln!(out, "| {claim} | **{verdict}** | {} |", each.collect::<Vec<_>>().join("; "))?;
        }
        Ok(text)
    }

    /// A cell a metric; `first` where the first metric's stands apart.
    fn scores(&self, first: Option<&Estimate>, scores: &Estimates) -> String {
        let cell = |(i, metric): (usize, &Metric)| {
            let own = if i == 0 { first } else { None };
            let found = own.or_else(|| scores.get(&metric.on("test")));
            found.map_or_else(|| " |".to_owned(), |e| format!(" {} |", self.show(i, e)))
        };
        self.metrics.iter().enumerate().map(cell).collect()
    }

    fn show(&self, metric: usize, estimate: &Estimate) -> String {
        let metric = &self.metrics[metric];
        format!("{} ± {}", metric.show(estimate.mean), metric.show(estimate.half_width()))
    }
}
