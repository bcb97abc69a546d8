//! The first metric of every method on test data with its interval, teachers as lines.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::{methods::Method, results::Results};

// Okabe and Ito's palette, told apart by colour-blind readers too.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const VERMILLION: RGBColor = RGBColor(213, 94, 0);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const SKY: RGBColor = RGBColor(86, 180, 233);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
const TEACHERS: [RGBColor; 5] = [GREEN, VERMILLION, ORANGE, SKY, PURPLE];

/// Draws an SVG.
pub fn draw(results: &Results, path: &Path) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| anyhow!("draw {}: {error}", path.display());
    paint(results, path).map_err(|error| failed(&error))
}

fn paint(results: &Results, path: &Path) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let bars: Vec<_> = Method::ALL
        .into_iter()
        .filter_map(|m| Some((m, &results.methods.get(m.key())?.test)))
        .collect();
    let metric = results.metric();
    let means = results
        .teachers
        .iter()
        .filter_map(|(name, teacher)| Some((name, *teacher.means.scores.get(&metric.on("test"))?)));
    let teachers: Vec<_> = means.collect();
    let finite = |x: f64, other: f64| if x.is_finite() { x } else { other };
    let ends =
        bars.iter().flat_map(|(_, e)| [finite(e.ci95[0], e.mean), finite(e.ci95[1], e.mean)]);
    let ends: Vec<f64> = ends.chain(teachers.iter().map(|(_, mean)| *mean)).collect();
    let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let room = ((high - low) * 0.15).max(1e-3);
    let low = (low - room).max(metric.range[0]);
    let high = (high + room).min(metric.range[1]);

    let root = SVGBackend::new(path, (900, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let name = metric.title;
    let caption = format!("{}: test {name} over {} seeds", results.data, results.seeds.len());
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(72)
        .build_cartesian_2d(-0.6..bars.len() as f64 - 0.4, low..high)?;
    let name = |x: &f64| {
        let near = x.round();
        let place = (near >= 0.0 && (x - near).abs() < 0.01).then_some(near as usize);
        place.and_then(|i| bars.get(i)).map_or_else(String::new, |(method, _)| method.to_string())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(1)
        .x_labels(2 * bars.len() + 1)
        .x_label_formatter(&name)
        .y_desc(format!("{} on test data", metric.title))
        .draw()?;
    for ((name, mean), colour) in teachers.into_iter().zip(TEACHERS.into_iter().cycle()) {
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
