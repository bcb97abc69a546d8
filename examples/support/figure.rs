//! The figure of aggregated results.

use g2d::report::{Chart, Colour, Level, Mark, Plot, Row, RowChart};

use super::{aggregate::AggregateResults, baselines::Baseline, methods::Method};

/// The first metric of every method on test data, with its confidence interval, and the teachers as
/// lines.
pub fn methods(results: &AggregateResults) -> Plot {
    let metric = results.metric();
    let row = |method: Method| {
        let found = &results.methods.get(method.key())?.test;
        Some(Row {
            name: method.to_string(),
            value: found.mean,
            interval: Some(found.ci95),
            colour: Colour::Hue(0),
        })
    };
    let level = |(m, name): (usize, &String)| {
        let value = *results.teachers.get(name)?.means.scores.get(&metric.key_on("test"))?;
        Some(Level { name: format!("{name} teacher"), value, colour: Colour::Hue(m + 1) })
    };
    let teachers = results.modalities.iter().enumerate().filter_map(level);
    let ensemble = results.baselines.get(&Baseline::EnsembleCalibrated).map(|ensemble| Level {
        name: "calibrated ensemble".to_owned(),
        value: ensemble.test.mean,
        colour: Colour::Faint,
    });
    let unit = if metric.unit.is_empty() { String::new() } else { format!(" ({})", metric.unit) };
    let seeds = results.seeds.len();
    Plot {
        name: "figure".to_owned(),
        title: format!("{}, {seeds} seeds", results.data.split(':').next().unwrap_or_default()),
        caption: format!(
            "Test {} of every method: mean over {seeds} seeds and its 95 % confidence interval. \
             Dashed lines: the unimodal teachers and their ensemble.",
            metric.name
        ),
        chart: Chart::Rows(RowChart {
            x: format!("Test {}{unit}, mean and 95 % interval", metric.name),
            mark: Mark::Point,
            rows: Method::every().filter_map(row).collect(),
            levels: teachers.chain(ensemble).collect(),
        }),
    }
}
