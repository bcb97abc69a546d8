//! Data of a run as curves over epochs.

use super::{
    lines::{Level, LineChart, Series},
    plot::{Chart, Plot},
    theme::{Colour, Stroke},
};
use crate::modality::Modality;
use crate::record::{EpochRow, Run};

/// The horizontal axis of all charts over epochs.
pub(super) const EPOCHS: &str = "Epochs trained";

/// The points (epochs trained, value) of the epochs that have a value.
pub(super) fn curve(run: &Run, value: impl Fn(&EpochRow) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |row: &EpochRow| Some((row.report.epoch as f64 + 1.0, value(row)?));
    run.epochs.iter().filter_map(point).collect()
}

/// A line, unless there are no points.
pub(super) fn series(
    name: &str,
    points: Vec<(f64, f64)>,
    colour: Colour,
    stroke: Stroke,
) -> Option<Series> {
    (!points.is_empty()).then(|| Series { name: name.to_owned(), points, colour, stroke })
}

/// A line for each modality that has values; `suffix` follows its name in the legend.
pub(super) fn per_modality(
    run: &Run,
    stroke: Stroke,
    suffix: &str,
    value: impl Fn(&EpochRow, usize) -> Option<f64>,
) -> Vec<Series> {
    let line = |(m, modality): (usize, &Modality)| {
        let points = curve(run, |row| value(row, m));
        series(&format!("{modality}{suffix}"), points, Colour::Hue(m), stroke)
    };
    run.info.modalities.iter().enumerate().filter_map(line).collect()
}

/// A plot of lines over epochs; `words` are its name, title, caption and vertical axis.
pub(super) fn lines_plot<S: Into<String>>(
    words: [S; 4],
    series: Vec<Series>,
    levels: Vec<Level>,
) -> Plot {
    let [name, title, caption, y] = words.map(S::into);
    let chart = Chart::Lines(LineChart { x: EPOCHS.to_owned(), y, series, levels });
    Plot { name, title, caption, chart }
}
