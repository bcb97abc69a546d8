//! What was found, as tables and as a file.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use comfy_table::{Table, presets::ASCII_MARKDOWN};

use crate::{clock::Clock, rounds::Times};

/// What each ratio is to stay below, or above where it is so said; docs/performance.md has the reasons.
const TARGETS: [(&str, &str); 8] = [
    ("suppressed_cached_fp32", "≤ 0.45"),
    ("joint_cached_fp32", "≤ 0.70"),
    ("suppressed_cached_bf16", "≤ 0.25"),
    ("trainer_overhead", "≤ 1.02"),
    ("joint_cached_overhead", "≤ 1.05"),
    ("memory_suppressed", "≤ 0.65"),
    ("own_overhead", "≤ 0.01"),
    ("loader", "≥ 2"),
];

pub struct Results {
    ratios: BTreeMap<String, f64>,
    rows: Vec<Vec<String>>,
    /// Seconds of the plain step.
    pub step: f64,
}

impl Results {
    pub fn new(threads: i32, clock: Clock) -> Self {
        println!("threads: {threads}; seconds of: {clock:?}");
        Self { ratios: BTreeMap::new(), rows: Vec::new(), step: f64::NAN }
    }

    /// The median ratio of `name`'s seconds to `reference`'s, where both ran.
    pub fn ratio(&mut self, key: &str, times: &Times, name: &str, reference: &str) {
        if let Some([low, median, high]) = times.ratio(name, reference) {
            self.ratios.insert(key.to_owned(), median);
            self.row(key, median, format!("{low:.3} … {high:.3}"));
        }
    }

    /// A ratio that is no median over rounds.
    pub fn put(&mut self, key: &str, ratio: f64) {
        self.ratios.insert(key.to_owned(), ratio);
        self.row(key, ratio, String::new());
    }

    fn row(&mut self, key: &str, ratio: f64, quartiles: String) {
        let target = TARGETS.iter().find(|(name, _)| *name == key).map_or("", |(_, target)| target);
        let shown = if ratio < 0.01 { format!("{ratio:.5}") } else { format!("{ratio:.3}") };
        self.rows.push(vec![key.to_owned(), shown, quartiles, target.to_owned()]);
    }

    pub fn seconds(&mut self, times: &Times) {
        let row = |name: &str| vec![name.to_owned(), number(times.median(name) * 1e3)];
        let rows = times.names().map(row).collect();
        self.table("Median milliseconds of a step", &["step", "ms"], rows);
    }

    pub fn table(&mut self, title: &str, heads: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(heads).add_rows(rows);
        println!("\n{title}\n\n{table}");
    }

    /// Prints the table of ratios and writes them.
    pub fn finish(mut self, out: &Path) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.table("Ratios", &["name", "median", "quartiles", "target"], rows);
        if let Some(folder) = out.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(out, serde_json::to_string_pretty(&self.ratios)? + "\n")?;
        println!("\nwritten to {}", out.display());
        Ok(())
    }
}

/// Three digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
