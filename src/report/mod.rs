//! Plots and HTML reports of recorded runs.
//!
//! - [`Report`]: the page of one run, or of several runs side by side, and its plots.
//! - [`Plot`]: a chart with title and caption as SVG or PNG, in a [`Theme`].
//! - [`LineChart`], [`LaneChart`], [`RowChart`]: the charts, which can also plot other data.
//!
//! `figures.rs` and `measured.rs` select the plots of a run; `curves.rs` and `labels.rs` have their data
//! and names. `canvas.rs` and `theme.rs` draw. `page.rs` and `page.html` are the page.

mod canvas;
mod curves;
mod figures;
mod labels;
mod lanes;
mod lines;
mod measured;
mod page;
mod plot;
mod rows;
mod steps;
mod theme;

pub use lanes::{Lane, LaneChart};
pub use lines::{Level, LineChart, Series};
pub use page::Report;
pub use plot::{Chart, Plot};
pub use rows::{Mark, Row, RowChart};
pub use theme::{Colour, Stroke, Theme};
