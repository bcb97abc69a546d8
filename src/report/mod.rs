//! Plots and the report of recorded runs: one HTML file that needs nothing else.
//!
//! - [`Report`]: the page of one run, or of several side by side.
//! - [`Plot`]: a chart as SVG or PNG, for light and dark pages ([`Theme`]); [`plots`] and
//!   [`comparison_plots`] draw a run's.
//! - [`LineChart`], [`LaneChart`], [`RowChart`]: what a plot shows.
//!
//! `theme.rs` has the colours, `canvas.rs` what all charts share, `figures.rs` and `measured.rs` which
//! plots a run gives, `labels.rs` what its numbers are called, `page.rs` and `page.html` the page.

mod canvas;
mod figures;
mod labels;
mod lanes;
mod lines;
mod measured;
mod page;
mod plot;
mod rows;
mod theme;

pub use figures::{comparison_plots, plots};
pub use lanes::{Lane, LaneChart};
pub use lines::{Level, LineChart, Series};
pub use page::Report;
pub use plot::{Chart, Plot};
pub use rows::{Mark, Row, RowChart};
pub use theme::{Colour, Stroke, Theme};
