//! A chart as SVG or PNG.

use std::{path::Path, sync::Arc};

use plotters::prelude::*;
use resvg::{tiny_skia, usvg};

use super::{LaneChart, LineChart, RowChart, Theme, canvas::Drawn};
use crate::error::{self, Error, Result};

/// Inter, Latin and Greek: text looks the same on machines without fonts.
const FONT: &[u8] = include_bytes!("font/Inter-Regular.otf");
/// A PNG's pixels to a unit of the SVG.
const SCALE: f32 = 2.0;

/// What a plot shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Chart {
    /// Values over a number, such as epochs.
    Lines(LineChart),
    /// A fraction over epochs, a lane each.
    Lanes(LaneChart),
    /// A value a row.
    Rows(RowChart),
}

/// A chart with its title and what it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// A name for files, such as `val_accuracy`.
    pub name: String,
    /// Above the plot.
    pub title: String,
    /// A sentence or two on how to read it.
    pub caption: String,
    /// What it shows.
    pub chart: Chart,
}

impl Plot {
    /// The plot as SVG text, with its title and caption for those who do not see it.
    ///
    /// # Errors
    /// [`Error::Config`] for what cannot be drawn.
    pub fn svg(&self, theme: Theme) -> Result<String> {
        let size = match &self.chart {
            Chart::Lines(_) => (760, 400),
            Chart::Lanes(chart) => (760, chart.height()),
            Chart::Rows(chart) => (760, chart.height()),
        };
        let mut svg = String::new();
        self.draw(theme, SVGBackend::with_string(&mut svg, size)).map_err(|e| {
            let hint = "check its numbers";
            error::config(format!("plot {:?}", self.name), "one to draw", e.to_string(), hint)
        })?;
        // Two plots on a page have two ids.
        let id: String =
            self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let [title, caption] = [&self.title, &self.caption].map(|text| escape(text));
        let told = format!(
            "<svg role=\"img\" aria-labelledby=\"t-{id} d-{id}\" font-family=\"Inter, system-ui, \
             sans-serif\" "
        );
        let words =
            format!("<title id=\"t-{id}\">{title}</title><desc id=\"d-{id}\">{caption}</desc>");
        let svg = svg.replacen("<svg ", &told, 1).replace(" font-family=\"sans-serif\"", "");
        Ok(svg.replacen(
            "xmlns=\"http://www.w3.org/2000/svg\">",
            &format!("xmlns=\"http://www.w3.org/2000/svg\">{words}"),
            1,
        ))
    }

    /// The plot as a PNG file, two pixels to a unit of the SVG.
    ///
    /// # Errors
    /// As [`svg`](Self::svg).
    pub fn png(&self, theme: Theme) -> Result<Vec<u8>> {
        let failed = |found: String| {
            let what = format!("plot {:?}", self.name);
            error::config(what, "an SVG that can be rasterised", found, "write it as SVG")
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

    /// Writes `{name}.svg` and `{name}.png` to `folder`, which is created.
    ///
    /// # Errors
    /// As [`svg`](Self::svg); [`Error::Io`] with the path.
    pub fn write(&self, folder: impl AsRef<Path>, theme: Theme) -> Result<()> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
        let files = [("svg", self.svg(theme)?.into_bytes()), ("png", self.png(theme)?)];
        files.into_iter().try_for_each(|(ending, content)| {
            let path = folder.join(format!("{}.{ending}", self.name));
            std::fs::write(&path, content).map_err(|e| Error::io("write the file", &path, e))
        })
    }

    fn draw(&self, theme: Theme, backend: SVGBackend<'_>) -> Drawn<()> {
        let area = backend.into_drawing_area();
        area.fill(&theme.rgb(super::Colour::Paper))?;
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
