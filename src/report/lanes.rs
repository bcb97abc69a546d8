//! Charts of a fraction over epochs in lanes, such as κ.

use plotters::prelude::*;

use super::{
    canvas::{Area, DrawResult, draw_name, font, header, names_width, tick},
    theme::{Colour, Theme},
};

/// Height of a lane.
const LANE: u32 = 40;

/// A fraction over epochs: in each lane a band as high as the fraction.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneChart {
    /// Label of the horizontal axis.
    pub x: String,
    /// The lanes from top to bottom.
    pub lanes: Vec<Lane>,
}

/// A lane.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Name on the left.
    pub name: String,
    /// Start, end and value in [0, 1] of each span, in order.
    pub spans: Vec<(f64, f64, f64)>,
    /// Colour of the band.
    pub colour: Colour,
}

impl LaneChart {
    pub(super) fn height(&self) -> u32 {
        44 + 64 + LANE * self.lanes.len().max(1) as u32
    }

    pub(super) fn draw(&self, title: &str, theme: Theme, area: &Area<'_>) -> DrawResult<()> {
        let area = header(area, theme, title, &[])?;
        let names = names_width(self.lanes.iter().map(|lane| &lane.name));
        let far = self.lanes.iter().flat_map(|l| &l.spans).map(|s| s.1).fold(1.0, f64::max);
        let count = self.lanes.len() as f64;
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(48)
            .margin_left(names)
            .build_cartesian_2d(0.0..far, 0.0..count.max(1.0))?;
        chart
            .configure_mesh()
            .disable_mesh()
            .disable_y_axis()
            .axis_style(theme.rgb(Colour::Faint))
            .label_style(font(theme, Colour::Faint))
            .axis_desc_style(font(theme, Colour::Ink))
            .x_labels((far as usize + 1).min(11))
            .x_label_formatter(&|x| tick(*x, far))
            .x_desc(&self.x)
            .draw()?;
        let (_, top) = area.get_base_pixel();
        for (i, lane) in self.lanes.iter().enumerate() {
            let bottom = count - 1.0 - i as f64 + 0.12;
            let band = |from, to, height: f64| [(from, bottom), (to, bottom + 0.76 * height)];
            let track = theme.rgb(Colour::Grid).mix(0.6).filled();
            chart.draw_series([Rectangle::new(band(0.0, far, 1.0), track)])?;
            let fill = theme.rgb(lane.colour).filled();
            let bands = merged(&lane.spans).into_iter().filter(|(.., value)| *value > 0.0);
            let bands = bands.map(|(from, to, v)| Rectangle::new(band(from, to, v.min(1.0)), fill));
            chart.draw_series(bands)?;
            let (_, y) = chart.backend_coord(&(0.0, bottom + 0.38));
            draw_name(&area, theme, &lane.name, names, y - top)?;
        }
        Ok(())
    }
}

/// Merges adjacent spans of the same value.
fn merged(spans: &[(f64, f64, f64)]) -> Vec<(f64, f64, f64)> {
    let mut merged: Vec<(f64, f64, f64)> = Vec::new();
    for &(from, to, value) in spans {
        match merged.last_mut() {
            Some(last) if last.1 == from && last.2 == value => last.1 = to,
            _ => merged.push((from, to, value)),
        }
    }
    merged
}
