//! Plots of what probes measured, epoch by epoch and at the end.

use super::{
    Chart, Colour, Mark, Plot, Row, RowChart, Stroke,
    figures::{curve, each, lines_plot, series},
    labels::{axis, title},
};
use crate::{
    modality::Modality,
    record::{EpochRow, Run},
};

/// Metrics of probes that begin so are shares at a time, rather than curves.
const SHARES: &str = "shapley";
const SHARED: &str = "What each modality adds to the whole's worth, averaged over the orders in which \
                      modalities can join.";

/// The plots of all that was measured.
pub(super) fn plots(run: &Run) -> Vec<Plot> {
    let mut metrics: Vec<&str> = Vec::new();
    for measured in run.epochs.iter().flat_map(|row| &row.report.measurements) {
        if !metrics.contains(&measured.metric.as_str()) {
            metrics.push(&measured.metric);
        }
    }
    // ρ as the probe has it is the report's.
    metrics.retain(|metric| *metric != "confidence");
    let each = metrics.into_iter().filter_map(|metric| probe(run, metric));
    each.chain(at_end(run)).collect()
}

/// What was measured at the end, a bar a modality.
fn at_end(run: &Run) -> Vec<Plot> {
    let measured = run.outcome.as_ref().map_or(&[][..], |outcome| &outcome.measurements);
    let mut metrics: Vec<&str> = Vec::new();
    for one in measured.iter().filter(|one| one.modality.is_some()) {
        if !metrics.contains(&one.metric.as_str()) {
            metrics.push(&one.metric);
        }
    }
    let plot = |metric: &str| {
        let of = |m: &Modality| {
            let own =
                measured.iter().find(|x| x.metric == metric && x.modality.as_ref() == Some(m));
            own.map(|one| one.value)
        };
        let caption = match metric {
            "shapley" => SHARED,
            "utilisation_rate" => {
                "The share of the whole's worth that is lost without the modality."
            }
            "linear_probe" => {
                "What a linear model reads from each frozen encoder: what it has learnt, whatever the \
                 fusion makes of it."
            }
            _ => "Measured on held-out data.",
        };
        let title = format!("{} at the end", title(run, metric));
        bars(run, format!("end_{metric}"), title, caption, axis(run, metric), of)
    };
    metrics.into_iter().map(plot).collect()
}

/// A bar a modality that has a value.
fn bars(
    run: &Run,
    name: String,
    title: String,
    caption: &str,
    x: String,
    of: impl Fn(&Modality) -> Option<f64>,
) -> Plot {
    let bar = |(m, modality): (usize, &Modality)| {
        let value = of(modality)?;
        let name = modality.name().to_owned();
        Some(Row { name, value, interval: None, colour: Colour::Hue(m) })
    };
    let rows = run.info.modalities.iter().enumerate().filter_map(bar).collect();
    let chart = Chart::Rows(RowChart { x, mark: Mark::Bar, rows, levels: Vec::new() });
    Plot { name, title, caption: caption.to_owned(), chart }
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
        let title =
            format!("{} after {} epochs", title(run, metric), row.report.epoch.saturating_add(1));
        let of = |m: &Modality| measured(row, Some(m));
        return Some(bars(run, name, title, SHARED, axis(run, metric), of));
    }
    let mut lines = each(run, Stroke::Solid, "", |row, m| measured(row, Some(&modalities[m])));
    let whole = curve(run, |row| measured(row, None));
    lines.extend(series("all modalities", whole, Colour::Ink, Stroke::Solid));
    let (y, caption) = match metric {
        "gradient_norm" => {
            ("L2 norm, mean over steps", "Size of each encoder's gradient; 0 while it waits.")
        }
        "update_ratio" => (
            "‖Δθ‖ / ‖θ‖ of a step",
            "How far the optimizer moves each encoder, beside its size; 0 while it waits.",
        ),
        "confidence_ratio" => (
            "Ratio of ρ to the others'",
            "1 is balance; the modality above 1 is the one that drowns the others.",
        ),
        "head_loss" => (
            "Loss of the head, smoothed",
            "The task's loss of each modality's part of the head alone, on training batches.",
        ),
        "loss_ratio" => (
            "Ratio of head losses",
            "Each head's smoothed loss beside the others': 1 is balance, above it the modality lags.",
        ),
        "cka_teacher" => (
            "Linear CKA",
            "How like its teacher's each encoder's features are: 1 is the same up to rotation and \
             scale, 0 nothing alike.",
        ),
        _ => ("", "As the probe measured it, epoch by epoch."),
    };
    let y = if y.is_empty() { axis(run, metric) } else { y.to_owned() };
    Some(lines_plot(name, title(run, metric), caption.to_owned(), y, lines, Vec::new()))
}
