//! Plots as SVG and PNG.

use std::{path::Path, sync::Arc};

use plotters::prelude::*;
use resvg::{tiny_skia, usvg};

use super::{
    canvas::DrawResult,
    lanes::LaneChart,
    lines::LineChart,
    rows::RowChart,
    theme::{Colour, Theme},
};
use crate::error::{self, Error, Result};

/// Inter, Latin and Greek: PNGs need no installed fonts.
const FONT: &[u8] = include_bytes!("font/Inter-Regular.otf");
/// Pixels of a PNG per unit of the SVG.
const SCALE: f32 = 2.0;

/// The chart of a plot.
#[derive(Debug, Clone, PartialEq)]
pub enum Chart {
    /// Values over a number, such as epochs.
    Lines(LineChart),
    /// A fraction over epochs, in lanes.
    Lanes(LaneChart),
    /// One value per row.
    Rows(RowChart),
}

/// A chart with title and caption.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Name in files, such as `val_accuracy`.
    pub name: String,
    /// Title above the chart.
    pub title: String,
    /// Explanation of the chart, also for screen readers.
    pub caption: String,
    /// The chart.
    pub chart: Chart,
}

impl Plot {
    /// Returns the plot as SVG text, with title and caption for screen readers.
    ///
    /// # Errors
    /// [`Error::Config`] for a chart that cannot be drawn.
    pub fn svg(&self, theme: Theme) -> Result<String> {
        let size = match &self.chart {
            Chart::Lines(_) => (760, 400),
            Chart::Lanes(chart) => (760, chart.height()),
            Chart::Rows(chart) => (760, chart.height()),
        };
        let mut svg = String::new();
        self.draw(theme, SVGBackend::with_string(&mut svg, size)).map_err(|e| {
            let what = format!("plot {:?}", self.name);
            error::config(what, "a chart that can be drawn", e, "check its numbers")
        })?;
        // Ids are unique among the plots of a page.
        let id: String =
            self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let [title, caption] = [&self.title, &self.caption].map(|text| escape(text));
        let attributes = format!(
            "<svg role=\"img\" aria-labelledby=\"t-{id} d-{id}\" font-family=\"Inter, system-ui, \
             sans-serif\" "
        );
        let described = format!(
            "xmlns=\"http://www.w3.org/2000/svg\"><title id=\"t-{id}\">{title}</title><desc \
             id=\"d-{id}\">{caption}</desc>"
        );
        let svg = svg.replacen("<svg ", &attributes, 1).replace(" font-family=\"sans-serif\"", "");
        Ok(svg.replacen("xmlns=\"http://www.w3.org/2000/svg\">", &described, 1))
    }

    /// Returns the plot as a PNG file, with two pixels per unit of the SVG.
    ///
    /// # Errors
    /// As [`svg`](Self::svg).
    pub fn png(&self, theme: Theme) -> Result<Vec<u8>> {
        let failed = |found: String| {
            let what = format!("plot {:?}", self.name);
            error::config(what, "an SVG that can be rasterised", found, "use the SVG")
        };
        let mut options = usvg::Options { font_family: "Inter".into(), ..Default::default() };
        let source = usvg::fontdb::Source::Binary(Arc::new(FONT));
        options.fontdb_mut().load_font_source(source);
        let tree =
            usvg::Tree::from_str(&self.svg(theme)?, &options).map_err(|e| failed(e.to_string()))?;
        let size = tree.size();
        let [width, height] = [size.width(), size.height()].map(|x| (x * SCALE) as u32);
        let mut pixels =
            tiny_skia::Pixmap::new(width, height).ok_or_else(|| failed("no area".into()))?;
        resvg::render(&tree, tiny_skia::Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
        pixels.encode_png().map_err(|e| failed(e.to_string()))
    }

    /// Writes `{name}.svg` and `{name}.png` to `folder`, and creates the folder.
    ///
    /// # Errors
    /// As [`svg`](Self::svg); [`Error::Io`].
    pub fn write(&self, folder: impl AsRef<Path>, theme: Theme) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
        let files = [("svg", self.svg(theme)?.into_bytes()), ("png", self.png(theme)?)];
        files.into_iter().try_for_each(|(ending, content)| {
            let path = folder.join(format!("{}.{ending}", self.name));
            std::fs::write(&path, content).map_err(|e| Error::io("write the file", &path, e))
        })
    }

    fn draw(&self, theme: Theme, backend: SVGBackend<'_>) -> DrawResult<()> {
        let area = backend.into_drawing_area();
        area.fill(&theme.rgb(Colour::Paper))?;
        match &self.chart {
            Chart::Lines(chart) => chart.draw(&self.title, theme, &area)?,
            Chart::Lanes(chart) => chart.draw(&self.title, theme, &area)?,
            Chart::Rows(chart) => chart.draw(&self.title, theme, &area)?,
        }
        area.present()?;
        Ok(())
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
