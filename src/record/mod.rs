//! Where reports go: files and the terminal.
//!
//! - [`CsvRecorder`]: one file a run, a row an epoch.
//! - [`ConsoleProgress`]: a progress bar with loss, accuracy and κ.

mod console;
mod csv;

pub use self::csv::CsvRecorder;
pub use console::ConsoleProgress;
