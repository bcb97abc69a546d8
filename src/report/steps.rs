//! Plots of recorded steps: loss, learning rate and gradient norm.

use super::{
    curves::series,
    labels::unique,
    lines::{LineChart, Series},
    plot::{Chart, Plot},
    theme::{Colour, Stroke},
};
use crate::record::{Run, StepRow};

/// The largest number of points of a line; more are replaced by means of neighbours.
const POINTS: usize = 500;

/// The plots of the recorded steps, none without them.
pub(super) fn plots(run: &Run) -> Vec<Plot> {
    let line = |name: &str, colour, value: &dyn Fn(&StepRow) -> Option<f64>| {
        let point = |row: &StepRow| Some((row.finished() as f64, value(row)?));
        series(name, thinned(run.steps.iter().filter_map(point).collect()), colour, Stroke::Solid)
    };
    let total = line("L_G2D (total)", Colour::Ink, &|row| Some(row.values.terms.total));
    let norm = line("gradient norm", Colour::Ink, &|row| row.gradient_norm);
    let all = run.steps.iter().flat_map(|row| &row.learning_rates);
    let groups = unique(all.map(|(group, _)| group.as_str()));
    let lr = groups.iter().enumerate().filter_map(|(i, group)| {
        let name = if group.is_empty() { "all other parameters" } else { group };
        let name = if groups.len() > 1 { name } else { "learning rate" };
        let colour = if groups.len() > 1 { Colour::Hue(i) } else { Colour::Ink };
        let of = |(other, _): &&(String, f64)| other == group;
        line(name, colour, &|row| row.learning_rates.iter().find(of).map(|(_, lr)| *lr))
    });
    let lr: Vec<Series> = lr.collect();
    [
        ("steps_loss", "Training loss of steps", "Loss", total.into_iter().collect()),
        ("steps_lr", "Learning rate", "Learning rate", lr),
        ("steps_gradient_norm", "Gradient norm of steps", "L2 norm", norm.into_iter().collect()),
    ]
    .into_iter()
    .filter(|(_, _, _, lines)| !lines.is_empty())
    .map(|(name, title, y, lines)| plot(name, title, y, lines))
    .collect()
}

fn plot(name: &str, title: &str, y: &str, series: Vec<Series>) -> Plot {
    let caption = "Recorded at an interval of steps; of many steps, means of neighbours are drawn.";
    let (x, y) = ("Steps trained".to_owned(), y.to_owned());
    Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        chart: Chart::Lines(LineChart { x, y, series, levels: Vec::new() }),
    }
}

/// Means of neighbours, so that at most [`POINTS`] points are left.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / n, sum.1 / n)
    };
    points.chunks(size).map(mean).collect()
}
