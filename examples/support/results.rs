//! Several seeds together: results.json, table.md and a figure.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    claims::{Claim, judge},
    figure,
    methods::Method,
    statistics::Estimate,
    summary::Summary,
};

/// Accuracies are percentages on test data, each of the weights that were best on validation data.
#[derive(Debug, Serialize)]
pub struct Results {
    pub data: String,
    pub setting: String,
    pub seeds: Vec<u64>,
    pub teachers: BTreeMap<String, TeacherResult>,
    /// The teacher that is better on test data, seed by seed.
    pub better_teacher: Estimate,
    pub methods: BTreeMap<String, MethodResult>,
    pub claims: Vec<Claim>,
    #[serde(skip)]
    pub modalities: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct TeacherResult {
    pub test_accuracy: Estimate,
    /// ρ over the training set.
    pub train_confidence: Estimate,
}

#[derive(Debug, Serialize)]
pub struct MethodResult {
    #[serde(flatten)]
    pub test_accuracy: Estimate,
    pub val_accuracy: Estimate,
    pub heads: BTreeMap<String, Estimate>,
    /// Mean κ of each encoder over all epochs.
    pub kappa: BTreeMap<String, Estimate>,
}

impl Results {
    pub fn new(data: &str, setting: &str, summaries: &[Summary]) -> Result<Self> {
        let first = summaries.first().context("no seed was run")?;
        let over = |value: &dyn Fn(&Summary) -> f64| Estimate::of(summaries.iter().map(value));
        let teachers = first.modalities.iter().map(|m| {
            let result = TeacherResult {
                test_accuracy: over(&|s| s.teachers[m].test_accuracy),
                train_confidence: over(&|s| s.teachers[m].train_confidence),
            };
            (m.clone(), result)
        });
        let methods = first.methods.keys().map(|key| {
            let each = |value: &dyn Fn(&Summary, &String) -> f64| {
                let estimate = |m: &String| (m.clone(), over(&|s| value(s, m)));
                first.modalities.iter().map(estimate).collect::<BTreeMap<_, _>>()
            };
            let result = MethodResult {
                test_accuracy: over(&|s| s.methods[key].test_accuracy),
                val_accuracy: over(&|s| s.methods[key].val_accuracy),
                heads: each(&|s, m| s.methods[key].heads[m]),
                kappa: each(&|s, m| s.methods[key].kappa[m]),
            };
            (key.clone(), result)
        });
        let better = |s: &Summary| s.teachers.values().map(|t| t.test_accuracy).fold(0.0, f64::max);
        let mut results = Self {
            data: data.to_owned(),
            setting: setting.to_owned(),
            seeds: summaries.iter().map(|s| s.seed).collect(),
            teachers: teachers.collect(),
            better_teacher: over(&better),
            methods: methods.collect(),
            claims: Vec::new(),
            modalities: first.modalities.clone(),
        };
        results.claims = judge(&results);
        Ok(results)
    }

    /// Writes `results.json`, `table.md` and `figure.svg` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
        };
        write("results.json", serde_json::to_string_pretty(self)? + "\n")?;
        write("table.md", self.table()?)?;
        figure::draw(self, &folder.join("figure.svg"))
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
        let heads: String = self.modalities.iter().map(|m| format!(" {m} head |")).collect();
        let kappas: String = self.modalities.iter().map(|m| format!(" κ {m} |")).collect();
        writeln!(out, "| | test accuracy % |{heads} ρ (training) |{kappas}")?;
        writeln!(out, "|---|{}", "---|".repeat(2 + 2 * self.modalities.len()))?;
        let blank = " |".repeat(self.modalities.len());
        for (name, teacher) in &self.teachers {
            let (accuracy, rho) = (&teacher.test_accuracy, &teacher.train_confidence);
            writeln!(
                out,
                "| teacher {name} | {} |{blank} {:.3} |{blank}",
                show(accuracy),
                rho.mean
            )?;
        }
        for method in Method::ALL {
            let Some(found) = self.methods.get(method.key()) else { continue };
            let heads: String = found.heads.values().map(|h| format!(" {} |", show(h))).collect();
            let kappas: String =
                found.kappa.values().map(|k| format!(" {:.2} |", k.mean)).collect();
            writeln!(out, "| {method} | {} |{heads} |{kappas}", show(&found.test_accuracy))?;
        }
        writeln!(out, "\n| claim | verdict | differences, seed by seed |\n|---|---|---|")?;
        for Claim { claim, verdict, differences } in &self.claims {
            let each = differences.iter().map(|(what, d)| format!("{what}: {}", signed(d)));
            writeln!(out, "| {claim} | **{verdict}** | {} |", each.collect::<Vec<_>>().join("; "))?;
        }
        Ok(text)
    }
}

fn show(estimate: &Estimate) -> String {
    format!("{:.1} ± {:.1}", estimate.mean, estimate.half_width())
}

fn signed(estimate: &Estimate) -> String {
    format!("{:+.1} ± {:.1}", estimate.mean, estimate.half_width())
}
