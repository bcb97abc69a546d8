//! Which plots a run gives.

use super::{
    Chart, Colour, Lane, LaneChart, Level, LineChart, Plot, Series, Stroke,
    labels::{axis, split, title},
    measured,
};
use crate::{
    modality::Modality,
    record::{EpochRow, Run},
};

const EPOCHS: &str = "Epochs trained";
/// The plots of one run: its metrics with the teachers as levels (the paper's Figure 1), κ, ρ, losses
/// and what the probes measured. What was not recorded gives no plot.
pub fn plots(run: &Run) -> Vec<Plot> {
    let mut plots: Vec<Plot> = metrics(run).iter().map(|metric| learning(run, metric)).collect();
    plots.extend(kappa(&[run]));
    plots.extend(confidence(run));
    plots.extend(losses(run));
    plots.extend(measured::plots(run));
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
        let line = |(i, run): (usize, &Run)| {
            let points = curve(run, |row| value(&row.metrics, name));
            series(&run.info.name, points, Colour::Hue(i), Stroke::Solid)
        };
        let lines = runs.iter().enumerate().filter_map(line).collect();
        let levels = shared_levels(runs, metric, of);
        let of = of.map(|m| format!(", {m} inside the student")).unwrap_or_default();
        let head = format!("{}{of}", title(first, metric));
        let dashed = if levels.is_empty() { "" } else { " Dashed: what the teachers reach alone." };
        let caption = format!("{head}, of every run after each epoch.{dashed}");
        lines_plot((*name).to_owned(), head, caption, axis(first, metric), lines, levels)
    };
    let mut plots: Vec<Plot> = names.iter().map(overlay).collect();
    plots.extend(kappa(&runs.iter().collect::<Vec<_>>()));
    plots
}

/// Teachers that all runs have in common: of one modality, or all.
fn shared_levels(runs: &[Run], metric: &str, of: Option<&Modality>) -> Vec<Level> {
    let score = |run: &Run, modality: &Modality| {
        let mut teachers = run.info.teachers.iter();
        value(&teachers.find(|teacher| teacher.modality == *modality)?.scores, metric)
    };
    let level = |(m, modality): (usize, &Modality)| {
        let own = score(&runs[0], modality)?;
        let shared = runs.iter().all(|run| score(run, modality) == Some(own));
        let colour = Colour::Hue(runs.len() + m);
        shared.then(|| Level { name: format!("{modality} teacher"), value: own, colour })
    };
    let wanted = |(_, modality): &(usize, &Modality)| of.is_none_or(|of| of == *modality);
    runs[0].info.modalities.iter().enumerate().filter(wanted).filter_map(level).collect()
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
    let task = curve(run, |r| Some(r.report.terms.task));
    let total = curve(run, |r| Some(r.report.terms.total));
    let whole = if total == task {
        [series("L_S, the task's loss", task, Colour::Ink, Stroke::Solid), None]
    } else {
        let task = series("L_S, the task's part", task, Colour::Hue(0), Stroke::Dashed);
        [series("L_G2D", total, Colour::Ink, Stroke::Solid), task]
    };
    let mut terms = each(run, Stroke::Solid, " features", |row, m| row.report.terms.feature[m]);
    terms.extend(each(run, Stroke::Dashed, " logits", |row, m| row.report.terms.logit[m]));
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

/// A line a modality that has values.
pub(super) fn each(
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

pub(super) fn curve(run: &Run, of: impl Fn(&EpochRow) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |row: &EpochRow| Some((row.report.epoch as f64 + 1.0, of(row)?));
    run.epochs.iter().filter_map(point).collect()
}

pub(super) fn series(
    name: &str,
    points: Vec<(f64, f64)>,
    colour: Colour,
    stroke: Stroke,
) -> Option<Series> {
    (!points.is_empty()).then(|| Series { name: name.to_owned(), points, colour, stroke })
}

pub(super) fn lines_plot(
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
