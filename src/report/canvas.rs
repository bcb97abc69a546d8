//! What all charts share: title, legend, text.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{Colour, Stroke, Theme};

pub(super) type Drawn<T> = std::result::Result<T, Box<dyn std::error::Error>>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Size of a title, and of all other text, as plotters counts it: 1.24 to a unit.
const TITLE: f64 = 20.0;
pub(super) const TEXT: f64 = 15.5;
const MARGIN: i32 = 16;
const LEGEND_ROW: i32 = 20;

/// What a legend says of a line.
pub(super) struct Key<'a> {
    pub name: &'a str,
    pub colour: Colour,
    pub stroke: Stroke,
}

pub(super) fn text(theme: Theme, colour: Colour, anchor: Pos) -> TextStyle<'static> {
    ("sans-serif", TEXT).into_font().color(&theme.rgb(colour)).pos(anchor)
}

/// Draws title and legend; what is left of the area is the chart's.
pub(super) fn header<'a>(
    area: &Area<'a>,
    theme: Theme,
    title: &str,
    keys: &[Key<'_>],
) -> Drawn<Area<'a>> {
    let (width, _) = area.dim_in_pixel();
    let style = ("sans-serif", TITLE).into_font().color(&theme.rgb(Colour::Ink));
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
        let style = text(theme, Colour::Ink, Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(name, (x + 26, y), style))?;
        x += needed + 18;
    }
    let below = if keys.is_empty() { 44 } else { y + 18 };
    Ok(area.split_vertically(below).1.margin(0, 10, MARGIN - 6, MARGIN + 6))
}

/// The most characters of a row's name.
pub(super) const NAME: usize = 34;

/// Width that the longest of some names takes, beside the rows that they name.
pub(super) fn names_width<'a>(names: impl Iterator<Item = &'a String>) -> i32 {
    let longest = names.map(|name| name.chars().count().min(NAME)).max().unwrap_or(0);
    (longest as i32 * 8 + 24).max(80)
}

/// At most `most` characters.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// A number with as many digits as an axis of `span` needs.
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

/// The range of what is finite, with some room; 0 to 1 without anything.
pub(super) fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let ends = values.filter(|v| v.is_finite()).fold(None, |ends: Option<[f64; 2]>, v| {
        Some(ends.map_or([v, v], |[low, high]| [low.min(v), high.max(v)]))
    });
    let [low, high] = ends.unwrap_or([0.0, 1.0]);
    let room = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.1 };
    // Zero is a bound to values, not a place to look below.
    [if low >= 0.0 { (low - room).max(0.0) } else { low - room }, high + room]
}
