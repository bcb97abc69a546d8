//! Test accuracy of every method with its interval, teachers as lines.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::{methods::Method, results::Results};

// Okabe and Ito's palette, told apart by colour-blind readers too.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILLION: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);

/// Draws an SVG.
pub fn draw(results: &Results, path: &Path) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("draw {}: {error}", path.display());
    paint(results, path).map_err(|error| failed(&error))
}

fn paint(results: &Results, path: &Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let bars: Vec<_> = Method::ALL
        .into_iter()
        .filter_map(|m| Some((m, &results.methods.get(m.key())?.test_accuracy)))
        .collect();
    let teachers = results.teachers.values().map(|t| t.test_accuracy.mean);
    let finite = |x: f64, other: f64| if x.is_finite() { x } else { other };
    let ends =
        bars.iter().flat_map(|(_, e)| [finite(e.ci95[0], e.mean), finite(e.ci95[1], e.mean)]);
    let ends: Vec<f64> = ends.chain(teachers).collect();
    let low = (ends.iter().copied().fold(100.0, f64::min) - 3.0).max(0.0);
    let high = (ends.iter().copied().fold(0.0, f64::max) + 3.0).min(100.0);

    let root = SVGBackend::new(path, (900, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let caption = format!("{}: test accuracy over {} seeds", results.data, results.seeds.len());
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(-0.6..bars.len() as f64 - 0.4, low..high)?;
    let name = |x: &f64| {
        let near = x.round();
        let place = (near >= 0.0 && (x - near).abs() < 0.01).then_some(near as usize);
        place.and_then(|i| bars.get(i)).map_or_else(String::new, |(method, _)| method.to_string())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(2 * bars.len() + 1)
        .x_label_formatter(&name)
        .y_desc("accuracy on test data, %")
        .draw()?;
    for ((name, teacher), colour) in results.teachers.iter().zip([GREEN, VERMILLION]) {
        let mean = teacher.test_accuracy.mean;
        let line = [(-0.6, mean), (bars.len() as f64 - 0.4, mean)];
        chart
            .draw_series(DashedLineSeries::new(line, 6, 4, colour.stroke_width(2)))?
            .label(format!("teacher {name}"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    let points = bars.iter().enumerate().map(|(i, (_, estimate))| {
        let [low, high] = estimate.ci95.map(|end| finite(end, estimate.mean));
        ErrorBar::new_vertical(i as f64, low, estimate.mean, high, BLUE.filled(), 14)
    });
    chart
        .draw_series(points)?
        .label("student: mean and 95 % interval")
        .legend(|(x, y)| Circle::new((x + 9, y), 4, BLUE.filled()));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
