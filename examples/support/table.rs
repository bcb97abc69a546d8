//! The Markdown tables of aggregated results.

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    aggregate::{AggregateResults, BaselineResult, Estimates},
    claims::Claim,
    methods::Method,
    metric::ResultMetric,
    statistics::Estimate,
};

/// The tables of the results and of the claims.
pub fn markdown(results: &AggregateResults, claims: &[Claim]) -> Result<String> {
    let mut text = String::new();
    let out = &mut text;
    writeln!(
        out,
        "{}; {}; seeds {:?}; mean ± half the width of the 95 % confidence interval.\n",
        results.data, results.setting, results.seeds
    )?;
    write_results(out, results)?;
    write_claims(out, results.metric(), claims)?;
    Ok(text)
}

fn write_results(out: &mut String, results: &AggregateResults) -> Result<()> {
    let k = results.modalities.len();
    let columns = |title: &dyn Fn(&String) -> String| -> String {
        results.modalities.iter().map(|m| format!(" {} |", title(m))).collect()
    };
    let metrics: String =
        results.metrics.iter().map(|m| format!(" test {} |", m.title())).collect();
    let heads = columns(&|m| format!("{m} head"));
    let kappas = columns(&|m| format!("κ {m}"));
    writeln!(out, "| |{metrics}{heads} ρ (training) |{kappas} step time / joint |")?;
    writeln!(out, "|---|{}", "---|".repeat(results.metrics.len() + 2 + 2 * k))?;
    let seconds = |method: Method| results.methods.get(method.key())?.means.seconds_per_step;
    let joint = seconds(Method::Joint).filter(|&seconds| seconds > 0.0);
    let blank = " |".repeat(k);
    for name in &results.modalities {
        let Some(teacher) = results.teachers.get(name) else { continue };
        let scores = test_cells(results, None, &teacher.intervals.scores);
        let rho = teacher.means.train_confidence;
        writeln!(out, "| teacher {name} |{scores}{blank} {rho:.3} |{blank} |")?;
    }
    for (baseline, BaselineResult { test, intervals }) in &results.baselines {
        let scores = test_cells(results, Some(test), intervals);
        writeln!(out, "| {baseline} |{scores}{blank} |{blank} |")?;
    }
    for method in Method::every() {
        let Some(found) = results.methods.get(method.key()) else { continue };
        let scores = test_cells(results, Some(&found.test), &found.intervals.scores);
        let head = |m: &String| found.intervals.heads.get(m).map(|e| cell(results.metric(), e));
        let kappa = |m: &String| found.means.kappa.get(m).map(|kappa| format!("{kappa:.2}"));
        let cells = |cell: &dyn Fn(&String) -> Option<String>| -> String {
            results.modalities.iter().map(|m| in_column(cell(m))).collect()
        };
        let cost = joint.zip(seconds(method)).map(|(joint, own)| format!("{:.2}", own / joint));
        let cost = in_column(cost);
        writeln!(out, "| {method} |{scores}{} |{}{cost}", cells(&head), cells(&kappa))?;
    }
    Ok(())
}

fn write_claims(out: &mut String, metric: &ResultMetric, claims: &[Claim]) -> Result<()> {
    writeln!(out, "\n| claim | verdict | paired differences |\n|---|---|---|")?;
    for Claim { claim, verdict, differences } in claims {
        let signed = |d: &Estimate| {
            format!("{} ± {}", metric.format_signed(d.mean), metric.format(d.half_width()))
        };
        let each = differences.iter().map(|(name, d)| format!("{name}: {}", signed(d)));
        writeln!(out, "| {claim} | **{verdict}** | {} |", each.collect::<Vec<_>>().join("; "))?;
    }
    Ok(())
}

/// A cell per metric; `first` is the estimate of the first metric if `scores` do not contain it.
fn test_cells(results: &AggregateResults, first: Option<&Estimate>, scores: &Estimates) -> String {
    let found = |(i, metric): (usize, &ResultMetric)| {
        let own = if i == 0 { first } else { None };
        let estimate = own.or_else(|| scores.get(&metric.key_on("test")));
        in_column(estimate.map(|estimate| cell(metric, estimate)))
    };
    results.metrics.iter().enumerate().map(found).collect()
}

fn cell(metric: &ResultMetric, estimate: &Estimate) -> String {
    format!("{} ± {}", metric.format(estimate.mean), metric.format(estimate.half_width()))
}

fn in_column(cell: Option<String>) -> String {
    cell.map_or_else(|| " |".to_owned(), |cell| format!(" {cell} |"))
}
