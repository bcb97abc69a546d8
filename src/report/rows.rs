//! Charts with one value per row: bars, or points with intervals.

use plotters::{prelude::*, style::text_anchor::HPos};

use super::{
    canvas::{Area, DrawResult, draw_name, draw_text, font, header, names_width, range, tick},
    lines::Level,
    theme::{Colour, Theme},
};

/// Height of a row.
const ROW: u32 = 34;

/// One value per row, and reference values.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChart {
    /// Label of the horizontal axis, with its unit.
    pub x: String,
    /// How values are drawn.
    pub mark: Mark,
    /// The rows from top to bottom.
    pub rows: Vec<Row>,
    /// Reference values, drawn as vertical lines.
    pub levels: Vec<Level>,
}

/// How a value is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A bar from zero.
    Bar,
    /// A point; the axis need not include zero.
    Point,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name on the left.
    pub name: String,
    /// The value.
    pub value: f64,
    /// The bounds of its interval.
    pub interval: Option<[f64; 2]>,
    /// Colour of the mark.
    pub colour: Colour,
}

impl RowChart {
    pub(super) fn height(&self) -> u32 {
        44 + 84 + ROW * self.rows.len().max(2) as u32
    }

    pub(super) fn draw(&self, title: &str, theme: Theme, area: &Area<'_>) -> DrawResult<()> {
        let keys: Vec<_> = self.levels.iter().map(Level::key).collect();
        let area = header(area, theme, title, &keys)?;
        let names = names_width(self.rows.iter().map(|row| &row.name));
        let zero = matches!(self.mark, Mark::Bar).then_some(0.0);
        let ends = self.rows.iter().flat_map(|r| r.interval.unwrap_or([r.value; 2]));
        let values = self.rows.iter().map(|row| row.value);
        let levels = self.levels.iter().map(|level| level.value);
        let [low, high] = range(ends.chain(values).chain(levels).chain(zero));
        let count = self.rows.len() as f64;
        let mut chart = ChartBuilder::on(&area)
            .x_label_area_size(48)
            .margin_left(names)
            .margin_right(50)
            .build_cartesian_2d(low..high, 0.0..count.max(1.0))?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .max_light_lines(0)
            .x_labels(7)
            .bold_line_style(theme.rgb(Colour::Grid))
            .axis_style(theme.rgb(Colour::Faint))
            .label_style(font(theme, Colour::Faint))
            .axis_desc_style(font(theme, Colour::Ink))
            .x_label_formatter(&|x| tick(*x, high - low))
            .x_desc(&self.x)
            .draw()?;
        for level in self.levels.iter().filter(|level| level.value.is_finite()) {
            let line = [(level.value, 0.0), (level.value, count)];
            let style = theme.rgb(level.colour).stroke_width(2);
            chart.draw_series(DashedLineSeries::new(line, 6, 5, style))?;
        }
        let (left, top) = area.get_base_pixel();
        for (i, row) in self.rows.iter().enumerate() {
            let middle = count - 0.5 - i as f64;
            let colour = theme.rgb(row.colour);
            let (_, y) = chart.backend_coord(&(low, middle));
            draw_name(&area, theme, &row.name, names, y - top)?;
            if !row.value.is_finite() {
                continue;
            }
            if self.mark == Mark::Bar {
                let bar = [(0.0, middle - 0.32), (row.value, middle + 0.32)];
                chart.draw_series([Rectangle::new(bar, colour.filled())])?;
            }
            let mut end = row.value.max(zero.unwrap_or(row.value));
            if let Some([from, to]) = row.interval.filter(|ends| ends.iter().all(|e| e.is_finite()))
            {
                let line = [(from, middle), (to, middle)];
                chart.draw_series([PathElement::new(line, colour.stroke_width(2))])?;
                end = end.max(to);
            }
            if self.mark == Mark::Point {
                chart.draw_series([Circle::new((row.value, middle), 5, colour.filled())])?;
            }
            let (x, _) = chart.backend_coord(&(end, middle));
            let value = tick(row.value, high - low);
            let (x, y) = (x - left + 10, y - top);
            let background = [(x - 3, y - 9), (x + 3 + 8 * value.chars().count() as i32, y + 9)];
            area.draw(&Rectangle::new(background, theme.rgb(Colour::Paper).filled()))?;
            draw_text(&area, font(theme, Colour::Faint), HPos::Left, value, (x, y))?;
        }
        Ok(())
    }
}
