//! Drawing that all charts share: title, legend, text and ranges.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::theme::{Colour, Stroke, Theme};

pub(super) type DrawResult<T> = std::result::Result<T, Box<dyn std::error::Error>>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Font sizes in plotters' unit, which is 1.24 units of the SVG.
const TITLE_SIZE: f64 = 20.0;
const TEXT_SIZE: f64 = 15.5;
const MARGIN: i32 = 16;
const LEGEND_ROW: i32 = 20;

/// An entry of a legend.
pub(super) struct Key<'a> {
    pub name: &'a str,
    pub colour: Colour,
    pub stroke: Stroke,
}

pub(super) fn font(theme: Theme, colour: Colour) -> TextStyle<'static> {
    ("sans-serif", TEXT_SIZE).into_font().color(&theme.rgb(colour))
}

/// Draws text that is vertically centred at `at` and begins or ends there.
pub(super) fn draw_text(
    area: &Area<'_>,
    style: TextStyle<'static>,
    align: HPos,
    text: String,
    at: (i32, i32),
) -> DrawResult<()> {
    area.draw(&Text::new(text, at, style.pos(Pos::new(align, VPos::Center))))?;
    Ok(())
}

/// Draws title and legend, and returns the area that remains for the chart.
pub(super) fn header<'a>(
    area: &Area<'a>,
    theme: Theme,
    title: &str,
    keys: &[Key<'_>],
) -> DrawResult<Area<'a>> {
    let (width, _) = area.dim_in_pixel();
    let style = ("sans-serif", TITLE_SIZE).into_font().color(&theme.rgb(Colour::Ink));
    area.draw(&Text::new(shorten(title, 80), (MARGIN, 12), style))?;
    let (mut x, mut y) = (MARGIN, 50);
    for key in keys {
        let name = shorten(key.name, 60);
        let needed = 28 + (name.chars().count() as f64 * 7.0) as i32;
        if x > MARGIN && x + needed > width as i32 - MARGIN {
            (x, y) = (MARGIN, y + LEGEND_ROW);
        }
        let colour = theme.rgb(key.colour);
        match key.stroke {
            Stroke::Solid => {
                let line = [(x, y), (x + 20, y)];
                area.draw(&PathElement::new(line, colour.stroke_width(3)))?;
            }
            Stroke::Dashed => {
                for from in [x, x + 8, x + 16] {
                    let dash = [(from, y), (from + 5, y)];
                    area.draw(&PathElement::new(dash, colour.stroke_width(2)))?;
                }
            }
        }
        draw_text(area, font(theme, Colour::Ink), HPos::Left, name, (x + 26, y))?;
        x += needed + 18;
    }
    let below = if keys.is_empty() { 44 } else { y + 18 };
    Ok(area.split_vertically(below).1.margin(0, 10, MARGIN - 6, MARGIN + 6))
}

/// The largest number of characters of a row's name.
const NAME: usize = 34;

/// The width of the column of names on the left of rows.
pub(super) fn names_width<'a>(names: impl Iterator<Item = &'a String>) -> i32 {
    let longest = names.map(|name| name.chars().count().min(NAME)).max().unwrap_or(0);
    (longest as i32 * 8 + 24).max(80)
}

/// Draws the name of a row at the height `y` in a column of this width.
pub(super) fn draw_name(
    area: &Area<'_>,
    theme: Theme,
    name: &str,
    width: i32,
    y: i32,
) -> DrawResult<()> {
    let (name, at) = (shorten(name, NAME), (width - 10, y));
    draw_text(area, font(theme, Colour::Ink), HPos::Right, name, at)
}

/// At most `most` characters, with an ellipsis for the rest.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// A number with the digits that an axis of length `span` needs.
pub(super) fn tick(value: f64, span: f64) -> String {
    let digits = (2.0 - span.abs().max(1e-9).log10().floor()).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.digits$}");
    let short =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    match short {
        "-0" => "0".to_owned(),
        other => other.replace('-', "−"),
    }
}

/// The range of the finite values with a margin; by default around 0 to 1.
pub(super) fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let ends = values.filter(|v| v.is_finite()).fold(None, |ends: Option<[f64; 2]>, v| {
        Some(ends.map_or([v, v], |[low, high]| [low.min(v), high.max(v)]))
    });
    let [low, high] = ends.unwrap_or([0.0, 1.0]);
    let margin = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.1 };
    // The axis of values that are not negative does not extend below zero.
    [if low >= 0.0 { (low - margin).max(0.0) } else { low - margin }, high + margin]
}
