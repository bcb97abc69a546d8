//! Charts of lines over epochs.

use plotters::prelude::*;

use super::{
    canvas::{Area, DrawResult, Key, font, header, range, tick},
    theme::{Colour, Stroke, Theme},
};

/// Values over a number, such as epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    /// Label of the horizontal axis.
    pub x: String,
    /// Label of the vertical axis, with its unit.
    pub y: String,
    /// The lines.
    pub series: Vec<Series>,
    /// Reference values.
    pub levels: Vec<Level>,
}

/// A line, interrupted at points that are not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// The points (x, y).
    pub points: Vec<(f64, f64)>,
    /// Colour of the line.
    pub colour: Colour,
    /// Stroke of the line.
    pub stroke: Stroke,
}

/// A reference value, drawn as a dashed line.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    /// Name in the legend.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Colour of the line.
    pub colour: Colour,
}

impl Series {
    fn key(&self) -> Key<'_> {
        Key { name: &self.name, colour: self.colour, stroke: self.stroke }
    }
}

impl Level {
    pub(super) fn key(&self) -> Key<'_> {
        Key { name: &self.name, colour: self.colour, stroke: Stroke::Dashed }
    }
}

impl LineChart {
    pub(super) fn draw(&self, title: &str, theme: Theme, area: &Area<'_>) -> DrawResult<()> {
        let keys: Vec<_> =
            self.series.iter().map(Series::key).chain(self.levels.iter().map(Level::key)).collect();
        let area = header(area, theme, title, &keys)?;
        let points = || self.series.iter().flat_map(|s| &s.points);
        let far = points().map(|(x, _)| *x).fold(1.0, f64::max);
        let [low, high] = range(points().map(|p| p.1).chain(self.levels.iter().map(|l| l.value)));
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(48)
            .y_label_area_size(76)
            .build_cartesian_2d(0.0..far, low..high)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .bold_line_style(theme.rgb(Colour::Grid))
            .axis_style(theme.rgb(Colour::Faint))
            .label_style(font(theme, Colour::Faint))
            .axis_desc_style(font(theme, Colour::Ink))
            .x_labels((far as usize + 1).min(11))
            .y_labels(7)
            .x_label_formatter(&|x| tick(*x, far))
            .y_label_formatter(&|y| tick(*y, high - low))
            .x_desc(&self.x)
            .y_desc(&self.y)
            .draw()?;
        for level in self.levels.iter().filter(|level| level.value.is_finite()) {
            let line = [(0.0, level.value), (far, level.value)];
            let style = theme.rgb(level.colour).stroke_width(2);
            chart.draw_series(DashedLineSeries::new(line, 6, 5, style))?;
        }
        for series in &self.series {
            let colour = theme.rgb(series.colour);
            let finite =
                |part: &[(f64, f64)]| part.iter().all(|(x, y)| x.is_finite() && y.is_finite());
            let parts = series.points.split(|point| !finite(std::slice::from_ref(point)));
            for part in parts.filter(|part| !part.is_empty()) {
                let line = part.iter().copied();
                match series.stroke {
                    Stroke::Solid => {
                        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
                    }
                    Stroke::Dashed => {
                        let style = colour.stroke_width(2);
                        chart.draw_series(DashedLineSeries::new(line, 6, 5, style))?;
                    }
                }
                let end = part.last().map(|p| Circle::new(*p, 3, colour.filled()));
                chart.draw_series(end)?;
            }
        }
        Ok(())
    }
}
