//! Plots of measurements, per epoch and at the end of a run.

use super::{
    curves::{curve, lines_plot, per_modality, series},
    labels::{axis, title, unique},
    plot::{Chart, Plot},
    rows::{Mark, Row, RowChart},
    theme::{Colour, Stroke},
};
use crate::modality::Modality;
use crate::record::{EpochRow, Run};
use crate::step::Measurement;

const SHAPLEY: &str = "Average change of the value of the fused predictions when the modality joins a \
                       coalition of other modalities.";

/// The plots of all measurements.
pub(super) fn plots(run: &Run) -> Vec<Plot> {
    let measured = run.epochs.iter().flat_map(|row| &row.report.measurements);
    let mut metrics = unique(measured.map(|one| one.metric.as_str()));
    metrics.retain(|metric| *metric != "confidence"); // `EpochReport::confidence` is plotted.
    let each = metrics.into_iter().filter_map(|metric| over_epochs(run, metric));
    each.chain(at_end(run)).collect()
}

/// The value of a metric and modality.
fn find(all: &[Measurement], metric: &str, modality: Option<&Modality>) -> Option<f64> {
    let found = all.iter().find(|one| one.metric == metric && one.modality.as_ref() == modality);
    found.map(|one| one.value)
}

/// The measurements of the outcome, a bar for each modality.
fn at_end(run: &Run) -> Vec<Plot> {
    let measured = run.outcome.as_ref().map_or(&[][..], |outcome| &outcome.measurements);
    let of_modalities = measured.iter().filter(|one| one.modality.is_some());
    let plot = |metric: &str| {
        let caption = match metric {
            "shapley" => SHAPLEY,
            "utilisation_rate" => {
                "Share of the value of the fused predictions that is lost without the modality."
            }
            "linear_probe" => {
                "Value of a linear model on the features of each frozen encoder, independent of the \
                 fusion."
            }
            _ => "Measured on held-out data.",
        };
        let words = [format!("end_{metric}"), format!("{} at the end", title(run, metric))];
        bars(run, words, caption, metric, |m| find(measured, metric, Some(m)))
    };
    unique(of_modalities.map(|one| one.metric.as_str())).into_iter().map(plot).collect()
}

/// A bar for each modality that has a value.
fn bars(
    run: &Run,
    [name, title]: [String; 2],
    caption: &str,
    metric: &str,
    value: impl Fn(&Modality) -> Option<f64>,
) -> Plot {
    let bar = |(m, modality): (usize, &Modality)| {
        let (name, colour) = (modality.name().to_owned(), Colour::Hue(m));
        Some(Row { name, value: value(modality)?, interval: None, colour })
    };
    let rows = run.info.modalities.iter().enumerate().filter_map(bar).collect();
    let x = axis(run, metric);
    let chart = Chart::Rows(RowChart { x, mark: Mark::Bar, rows, levels: Vec::new() });
    Plot { name, title, caption: caption.to_owned(), chart }
}

/// The measurements of a probe over epochs; Shapley contributions only of the last epoch that has them.
fn over_epochs(run: &Run, metric: &str) -> Option<Plot> {
    let measured =
        |row: &EpochRow, of: Option<&Modality>| find(&row.report.measurements, metric, of);
    let (modalities, name) = (&run.info.modalities, format!("probe_{metric}"));
    if metric.starts_with("shapley") {
        let row = run.epochs.iter().rfind(|row| measured(row, modalities.first()).is_some())?;
        let epochs = row.report.epoch.saturating_add(1);
        let words = [name, format!("{} after {epochs} epochs", title(run, metric))];
        return Some(bars(run, words, SHAPLEY, metric, |m| measured(row, Some(m))));
    }
    let mut lines =
        per_modality(run, Stroke::Solid, "", |row, m| measured(row, Some(&modalities[m])));
    let whole = curve(run, |row| measured(row, None));
    lines.extend(series("whole model", whole, Colour::Ink, Stroke::Solid));
    let (y, caption) = match metric {
        "gradient_norm" => {
            ("L2 norm, mean over steps", "Norm of each encoder's gradient; 0 while suppressed.")
        }
        "update_ratio" => (
            "‖Δθ‖ / ‖θ‖ of a step",
            "Size of the optimizer's updates relative to each encoder's parameters.",
        ),
        "confidence_ratio" => (
            "Ratio of ρ to the other modalities",
            "1 for balanced modalities, above 1 for a dominant modality.",
        ),
        "head_loss" => ("Smoothed loss", "Task loss of each unimodal head on training batches."),
        "loss_ratio" => (
            "Ratio to the loss of the other heads",
            "1 for balanced modalities, above 1 for a modality that lags behind.",
        ),
        "cka_teacher" => (
            "Linear CKA",
            "Similarity of each encoder's features to its teacher's: 1 for features that are equal up \
             to rotation and scale, 0 for unrelated ones.",
        ),
        _ => ("", "Measured by a probe in each epoch."),
    };
    let y = if y.is_empty() { axis(run, metric) } else { y.to_owned() };
    let words = [name, title(run, metric), caption.to_owned(), y];
    Some(lines_plot(words, lines, Vec::new()))
}
