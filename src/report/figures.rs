//! Selects the plots of runs.

use super::{
    curves::{EPOCHS, curve, lines_plot, per_modality, series},
    labels::{axis, metric_names, metrics, split, title, unique, value},
    lanes::{Lane, LaneChart},
    lines::{Level, Series},
    measured,
    plot::{Chart, Plot},
    steps,
    theme::{Colour, Stroke},
};
use crate::modality::Modality;
use crate::record::{EpochRow, ReferenceScores, Run};

/// The plots of one run: its metrics with the teachers as levels (the paper's Figure 1), κ, ρ, losses,
/// steps and measurements, as far as they were recorded.
pub(super) fn plots(run: &Run) -> Vec<Plot> {
    let mut plots: Vec<Plot> = metrics(run).iter().map(|metric| learning(run, metric)).collect();
    plots.extend(kappa(&[run]));
    plots.extend(confidence(run));
    plots.extend(losses(run));
    plots.extend(steps::plots(run));
    plots.extend(measured::plots(run));
    plots
}

/// The plots that compare runs by colour: every metric, fused and of each modality, and κ.
pub(super) fn comparison_plots(runs: &[Run]) -> Vec<Plot> {
    let names = unique(runs.iter().flat_map(metric_names));
    let mut plots: Vec<Plot> = names.iter().filter_map(|name| overlay(runs, name)).collect();
    plots.extend(kappa(&runs.iter().collect::<Vec<_>>()));
    plots
}

/// The curves of one metric of all runs.
fn overlay(runs: &[Run], name: &str) -> Option<Plot> {
    let first = runs.iter().find(|run| metric_names(run).any(|own| own == name))?;
    let (metric, of) = split(name, &first.info.modalities);
    let line = |(i, run): (usize, &Run)| {
        let points = curve(run, |row| value(&row.metrics, name));
        series(&run.info.name, points, Colour::Hue(i), Stroke::Solid)
    };
    let levels = shared_levels(runs, metric, of);
    let head = of.map(|m| format!(", {m} head")).unwrap_or_default();
    let title = format!("{}{head}", title(first, metric));
    let dashed = if levels.is_empty() { "" } else { " Dashed: the unimodal teachers." };
    let caption = format!("{title} of each run after each epoch.{dashed}");
    let words = [name.to_owned(), title, caption, axis(first, metric)];
    Some(lines_plot(words, runs.iter().enumerate().filter_map(line).collect(), levels))
}

/// The teachers whose scores all runs share: of one modality, or all.
fn shared_levels(runs: &[Run], metric: &str, of: Option<&Modality>) -> Vec<Level> {
    let level = |(m, modality): (usize, &Modality)| {
        let own = teacher_score(&runs[0], modality, metric)?;
        let shared = runs.iter().all(|run| teacher_score(run, modality, metric) == Some(own));
        let colour = Colour::Hue(runs.len() + m);
        shared.then(|| Level { name: format!("{modality} teacher"), value: own, colour })
    };
    let wanted = |(_, modality): &(usize, &Modality)| of.is_none_or(|of| of == *modality);
    runs[0].info.modalities.iter().enumerate().filter(wanted).filter_map(level).collect()
}

/// The score of the teacher of `modality`.
pub(super) fn teacher_score(run: &Run, modality: &Modality, metric: &str) -> Option<f64> {
    let mut teachers = run.info.teachers.iter();
    value(&teachers.find(|teacher| teacher.modality == *modality)?.scores, metric)
}

fn learning(run: &Run, metric: &str) -> Plot {
    let fused = curve(run, |row| value(&row.metrics, metric));
    let fused = series("fused model", fused, Colour::Ink, Stroke::Solid);
    let head = |row: &EpochRow, m: usize| {
        value(&row.metrics, &format!("{metric}_{}", run.info.modalities[m]))
    };
    let heads = per_modality(run, Stroke::Solid, " head", head);
    let level = |(m, modality): (usize, &Modality)| {
        let (name, colour) = (format!("{modality} teacher"), Colour::Hue(m));
        Some(Level { name, value: teacher_score(run, modality, metric)?, colour })
    };
    let teachers = run.info.modalities.iter().enumerate().filter_map(level);
    let reference = |own: &ReferenceScores| {
        let (name, colour) = (own.name.clone(), Colour::Faint);
        Some(Level { name, value: value(&own.scores, metric)?, colour })
    };
    let levels = teachers.chain(run.info.references.iter().filter_map(reference)).collect();
    let caption = "Solid: the fused model and its unimodal heads after each epoch. Dashed: the \
                   unimodal teachers and their ensemble. A head far below its teacher indicates a suppressed modality.";
    let words = [metric.to_owned(), title(run, metric), caption.to_owned(), axis(run, metric)];
    lines_plot(words, fused.into_iter().chain(heads).collect(), levels)
}

fn kappa(runs: &[&Run]) -> Option<Plot> {
    let several = runs.len() > 1;
    let mut lanes = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        let prefix = if several { format!("{}: ", run.info.name) } else { String::new() };
        for (m, modality) in run.info.modalities.iter().enumerate() {
            let span = |row: &EpochRow| {
                let start = row.report.epoch as f64;
                (start, start + 1.0, row.report.kappa[m])
            };
            lanes.push(Lane {
                name: format!("{prefix}{modality}"),
                spans: run.epochs.iter().map(span).collect(),
                colour: Colour::Hue(if several { i } else { m }),
            });
        }
    }
    let caption = "Height of a band: κ, the mean over the steps of the epoch. Full height: the encoder \
                   is trained (κ = 1). No band: the encoder is suppressed (κ = 0).";
    lanes.iter().any(|lane| !lane.spans.is_empty()).then(|| Plot {
        name: "kappa".to_owned(),
        title: "κ of each encoder".to_owned(),
        caption: caption.to_owned(),
        chart: Chart::Lanes(LaneChart { x: EPOCHS.to_owned(), lanes }),
    })
}

fn confidence(run: &Run) -> Option<Plot> {
    let lines = per_modality(run, Stroke::Solid, "", |row, m| row.report.confidence[m]);
    let caption = "Mean confidence ρ of each teacher on the training batches.";
    let words = ["confidence", "Confidence ρ of each teacher", caption, "ρ"];
    (!lines.is_empty()).then(|| lines_plot(words, lines, Vec::new()))
}

fn losses(run: &Run) -> Vec<Plot> {
    let task = curve(run, |r| Some(r.report.terms.task));
    let total = curve(run, |r| Some(r.report.terms.total));
    let loss = if total == task {
        [series("L_S (task)", task, Colour::Ink, Stroke::Solid), None]
    } else {
        let task = series("L_S (task)", task, Colour::Hue(0), Stroke::Dashed);
        [series("L_G2D (total)", total, Colour::Ink, Stroke::Solid), task]
    };
    let known = |values: &[Option<f64>], m: usize| values.get(m).copied().flatten();
    let feature = |r: &EpochRow, m: usize| known(&r.report.terms.feature, m);
    let logit = |r: &EpochRow, m: usize| known(&r.report.terms.logit, m);
    let head = |r: &EpochRow, m: usize| known(&r.report.terms.head, m);
    let mut terms = per_modality(run, Stroke::Solid, " features", feature);
    terms.extend(per_modality(run, Stroke::Dashed, " logits", logit));
    terms.extend(per_modality(run, Stroke::Dashed, " head", head));
    let ensemble = curve(run, |r| r.report.terms.ensemble);
    terms.extend(series("ensemble", ensemble, Colour::Ink, Stroke::Dashed));
    let plot = |name, title, caption, lines: Vec<Series>| {
        let words = [name, title, caption, "Loss, mean over samples"];
        (!lines.is_empty()).then(|| lines_plot(words, lines, Vec::new()))
    };
    let caption = "Mean over the training samples of each epoch.";
    let loss = plot("loss", "Training loss", caption, loss.into_iter().flatten().collect());
    let caption = "Distance of the student from each teacher, before the weights of the terms.";
    let terms = plot("distillation", "Distillation terms", caption, terms);
    loss.into_iter().chain(terms).collect()
}
