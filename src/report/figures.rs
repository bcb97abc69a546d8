//! Which plots a run gives.

use super::{
    Chart, Colour, Lane, LaneChart, Level, LineChart, Mark, Plot, Row, RowChart, Series, Stroke,
    labels::{axis, split, title, words},
};
use crate::{Modality, record::EpochRow, record::Run};

const EPOCHS: &str = "Epochs trained";
/// Metrics of probes that begin so are shares at a time, rather than curves.
const SHARES: &str = "shapley";

/// The plots of one run: its metrics with the teachers as levels (the paper's Figure 1), κ, ρ, losses
/// and what the probes measured. What was not recorded gives no plot.
pub fn plots(run: &Run) -> Vec<Plot> {
    let mut plots: Vec<Plot> = metrics(run).iter().map(|metric| learning(run, metric)).collect();
    plots.extend(kappa(&[run]));
    plots.extend(confidence(run));
    plots.extend(losses(run));
    plots.extend(probes(run));
    plots
}

/// Plots of several runs over each other: every metric, fused and of each modality, and κ. Runs are
/// told apart by colour.
pub fn comparison_plots(runs: &[Run]) -> Vec<Plot> {
    let mut names: Vec<(&Run, &str)> = Vec::new();
    for run in runs {
        for (name, _) in run.epochs.iter().flat_map(|row| &row.metrics) {
            if names.iter().all(|(_, known)| known != name) {
                names.push((run, name));
            }
        }
    }
    let overlay = |(first, name): &(&Run, &str)| {
        let (metric, of) = split(name, &first.info.modalities);
        let of = of.map(|m| format!(": {m} alone")).unwrap_or_default();
        let line = |(i, run): (usize, &Run)| {
            let points = curve(run, |row| value(&row.metrics, name));
            series(&run.info.name, points, Colour::Hue(i), Stroke::Solid)
        };
        let lines = runs.iter().enumerate().filter_map(line).collect();
        let head = format!("{}{of}", title(first, metric));
        let caption = format!("{head} of every run after each epoch.");
        lines_plot((*name).to_owned(), head, caption, axis(first, metric), lines, Vec::new())
    };
    let mut plots: Vec<Plot> = names.iter().map(overlay).collect();
    plots.extend(kappa(&runs.iter().collect::<Vec<_>>()));
    plots
}

/// The run's metrics without their modalities, in order.
pub(super) fn metrics(run: &Run) -> Vec<&str> {
    let mut found = Vec::new();
    for (name, _) in run.epochs.iter().flat_map(|row| &row.metrics) {
        let (metric, _) = split(name, &run.info.modalities);
        if !found.contains(&metric) {
            found.push(metric);
        }
    }
    found
}

/// The value called `name`.
pub(super) fn value(numbers: &[(String, f64)], name: &str) -> Option<f64> {
    numbers.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn learning(run: &Run, metric: &str) -> Plot {
    let all = curve(run, |row| value(&row.metrics, metric));
    let mut lines: Vec<_> =
        series("all modalities", all, Colour::Ink, Stroke::Solid).into_iter().collect();
    let mut levels = Vec::new();
    for (m, modality) in run.info.modalities.iter().enumerate() {
        let alone = curve(run, |row| value(&row.metrics, &format!("{metric}_{modality}")));
        let name = format!("{modality} inside the student");
        lines.extend(series(&name, alone, Colour::Hue(m), Stroke::Solid));
        let teacher = run.info.teachers.iter().find(|teacher| teacher.modality == *modality);
        let level = teacher.and_then(|teacher| value(&teacher.scores, metric));
        let name = format!("{modality} teacher");
        levels.extend(level.map(|value| Level { name, value, colour: Colour::Hue(m) }));
    }
    let caption = "Solid: the student after each epoch, as a whole and each modality inside it. \
                   Dashed: the teacher trained on that modality alone. A solid line far below its \
                   dashed one is a modality that is held down.";
    let head = title(run, metric);
    lines_plot(metric.to_owned(), head, caption.to_owned(), axis(run, metric), lines, levels)
}

fn kappa(runs: &[&Run]) -> Option<Plot> {
    let mut lanes = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        for (m, modality) in run.info.modalities.iter().enumerate() {
            let span = |row: &EpochRow| {
                let at = row.report.epoch as f64;
                (at, at + 1.0, row.report.kappa[m])
            };
            let whose = if runs.len() > 1 { format!("{}: ", run.info.name) } else { String::new() };
            lanes.push(Lane {
                name: format!("{whose}{modality}"),
                spans: run.epochs.iter().map(span).collect(),
                colour: Colour::Hue(if runs.len() > 1 { i } else { m }),
            });
        }
    }
    lanes.iter().any(|lane| !lane.spans.is_empty()).then(|| Plot {
        name: "kappa".to_owned(),
        title: "Who learns when: κ of each encoder".to_owned(),
        caption:
            "A full band: the encoder learns (κ = 1); none: it waits (κ = 0); between: its mean \
                  over the epoch's steps."
                .to_owned(),
        chart: Chart::Lanes(LaneChart { x: EPOCHS.to_owned(), lanes }),
    })
}

fn confidence(run: &Run) -> Option<Plot> {
    let lines = each(run, Stroke::Solid, "", |row, m| row.report.confidence[m]);
    let caption = "Mean confidence ρ of each teacher on the training batches: the higher, the \
                   stronger the modality counts.";
    let title = "ρ: how confident each teacher is".to_owned();
    let plot = |lines| {
        let (name, y) = ("confidence".to_owned(), "ρ".to_owned());
        lines_plot(name, title, caption.to_owned(), y, lines, Vec::new())
    };
    (!lines.is_empty()).then(|| plot(lines))
}

fn losses(run: &Run) -> Vec<Plot> {
    let whole = [
        series("L_G2D", curve(run, |r| Some(r.report.total)), Colour::Ink, Stroke::Solid),
        series(
            "L_S, the task's part",
            curve(run, |r| Some(r.report.task)),
            Colour::Hue(0),
            Stroke::Dashed,
        ),
    ];
    let mut terms = each(run, Stroke::Solid, " features", |row, m| row.report.feature[m]);
    terms.extend(each(run, Stroke::Dashed, " logits", |row, m| row.report.logit[m]));
    let plot = |name: &str, title: &str, caption: &str, lines: Vec<Series>| {
        let [name, title, caption] = [name, title, caption].map(str::to_owned);
        let y = "Loss, mean over samples".to_owned();
        (!lines.is_empty()).then(|| lines_plot(name, title, caption, y, lines, Vec::new()))
    };
    let caption = "Means over the training samples of each epoch.";
    let whole = plot("loss", "Training loss", caption, whole.into_iter().flatten().collect());
    let caption = "How far the student is from each teacher, before the terms' weights.";
    let terms = plot("distillation", "Distillation terms", caption, terms);
    whole.into_iter().chain(terms).collect()
}

fn probes(run: &Run) -> Vec<Plot> {
    let mut metrics: Vec<&str> = Vec::new();
    for measured in run.epochs.iter().flat_map(|row| &row.report.measurements) {
        if !metrics.contains(&measured.metric.as_str()) {
            metrics.push(&measured.metric);
        }
    }
    // ρ as the probe has it is the report's.
    metrics.retain(|metric| *metric != "confidence");
    metrics.into_iter().filter_map(|metric| probe(run, metric)).collect()
}

fn probe(run: &Run, metric: &str) -> Option<Plot> {
    let measured = |row: &EpochRow, of: Option<&Modality>| {
        let mut all = row.report.measurements.iter();
        all.find(|one| one.metric == metric && one.modality.as_ref() == of).map(|one| one.value)
    };
    let modalities = &run.info.modalities;
    let name = format!("probe_{metric}");
    if metric.starts_with(SHARES) {
        let row = run.epochs.iter().rfind(|row| measured(row, modalities.first()).is_some())?;
        let bar = |(m, modality): (usize, &Modality)| {
            let value = measured(row, Some(modality))?;
            let name = modality.name().to_owned();
            Some(Row { name, value, interval: None, colour: Colour::Hue(m) })
        };
        let rows = modalities.iter().enumerate().filter_map(bar).collect();
        let after = row.report.epoch.saturating_add(1);
        return Some(Plot {
            name,
            title: format!("{} after {after} epochs", words(metric)),
            caption: "What each modality adds to the whole, averaged over the orders in which \
                      modalities can join."
                .to_owned(),
            chart: Chart::Rows(RowChart {
                x: axis(run, metric),
                mark: Mark::Bar,
                rows,
                levels: Vec::new(),
            }),
        });
    }
    let mut lines = each(run, Stroke::Solid, "", |row, m| measured(row, Some(&modalities[m])));
    let whole = curve(run, |row| measured(row, None));
    lines.extend(series("all modalities", whole, Colour::Ink, Stroke::Solid));
    let (y, caption) = match metric {
        "gradient_norm" => (
            "L2 norm, mean over steps".to_owned(),
            "Size of each encoder's gradient; 0 while it waits.".to_owned(),
        ),
        "confidence_ratio" => (
            "Ratio of ρ to the others'".to_owned(),
            "1 is balance; the modality above 1 is the one that drowns the others.".to_owned(),
        ),
        _ => (axis(run, metric), "As the probe measured it, epoch by epoch.".to_owned()),
    };
    Some(lines_plot(name, title(run, metric), caption, y, lines, Vec::new()))
}

/// A line a modality that has values.
fn each(
    run: &Run,
    stroke: Stroke,
    what: &str,
    of: impl Fn(&EpochRow, usize) -> Option<f64>,
) -> Vec<Series> {
    let line = |(m, modality): (usize, &Modality)| {
        series(&format!("{modality}{what}"), curve(run, |row| of(row, m)), Colour::Hue(m), stroke)
    };
    run.info.modalities.iter().enumerate().filter_map(line).collect()
}

fn curve(run: &Run, of: impl Fn(&EpochRow) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |row: &EpochRow| Some((row.report.epoch as f64 + 1.0, of(row)?));
    run.epochs.iter().filter_map(point).collect()
}

fn series(name: &str, points: Vec<(f64, f64)>, colour: Colour, stroke: Stroke) -> Option<Series> {
    (!points.is_empty()).then(|| Series { name: name.to_owned(), points, colour, stroke })
}

fn lines_plot(
    name: String,
    title: String,
    caption: String,
    y: String,
    series: Vec<Series>,
    levels: Vec<Level>,
) -> Plot {
    let chart = Chart::Lines(LineChart { x: EPOCHS.to_owned(), y, series, levels });
    Plot { name, title, caption, chart }
}
