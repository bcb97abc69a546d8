//! Themes and colours.

use plotters::style::RGBColor;

/// The background that a plot is drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark on white.
    Light,
    /// Light on near black.
    Dark,
}

/// A colour by its role; its value depends on the theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Text, and data of the whole model.
    Ink,
    /// Secondary text.
    Faint,
    /// Grid lines.
    Grid,
    /// The background.
    Paper,
    /// One of six colours of Okabe and Ito, which colour-blind readers can distinguish, modulo 6.
    Hue(usize),
}

/// The stroke of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Continuous.
    Solid,
    /// Dashed.
    Dashed,
}

/// The value of every colour in the light and in the dark theme.
const COLOURS: [(Colour, RGBColor, RGBColor); 10] = [
    (Colour::Ink, RGBColor(31, 35, 40), RGBColor(230, 233, 238)),
    (Colour::Faint, RGBColor(89, 97, 107), RGBColor(160, 168, 178)),
    (Colour::Grid, RGBColor(224, 227, 231), RGBColor(52, 57, 65)),
    (Colour::Paper, RGBColor(255, 255, 255), RGBColor(22, 25, 30)),
    (Colour::Hue(0), RGBColor(0, 114, 178), RGBColor(64, 156, 222)),
    (Colour::Hue(1), RGBColor(213, 94, 0), RGBColor(240, 126, 48)),
    (Colour::Hue(2), RGBColor(0, 158, 115), RGBColor(36, 188, 142)),
    (Colour::Hue(3), RGBColor(204, 121, 167), RGBColor(222, 146, 188)),
    (Colour::Hue(4), RGBColor(230, 159, 0), RGBColor(236, 176, 40)),
    (Colour::Hue(5), RGBColor(86, 180, 233), RGBColor(140, 208, 250)),
];
const HUES: usize = 6;

impl Theme {
    pub(super) fn rgb(self, colour: Colour) -> RGBColor {
        let colour = match colour {
            Colour::Hue(n) => Colour::Hue(n % HUES),
            other => other,
        };
        let found = COLOURS.iter().find(|(role, ..)| *role == colour).unwrap_or(&COLOURS[0]);
        match self {
            Self::Light => found.1,
            Self::Dark => found.2,
        }
    }
}

/// CSS that turns plots of the light theme into the dark theme.
pub(super) fn dark_css() -> String {
    let hex = |RGBColor(r, g, b): RGBColor| format!("#{r:02X}{g:02X}{b:02X}");
    let rule = |(_, light, dark): &(Colour, RGBColor, RGBColor)| {
        let (light, dark) = (hex(*light), hex(*dark));
        ["fill", "stroke"].map(|p| format!("svg [{p}=\"{light}\"]{{{p}:{dark}}}")).concat()
    };
    COLOURS.iter().map(rule).collect()
}
