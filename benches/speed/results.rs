//! The results, as tables and as a file.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use comfy_table::{Table, presets::ASCII_MARKDOWN};

use crate::{clock::Clock, rounds::Times};

/// The required bound of each ratio; docs/performance.md explains them.
const TARGETS: [(&str, &str); 12] = [
    ("suppressed_cached_fp32", "≤ 0.45"),
    ("joint_cached_fp32", "≤ 0.70"),
    ("suppressed_cached_bf16", "≤ 0.25"),
    ("trainer_overhead", "≤ 1.02"),
    ("joint_cached_overhead", "≤ 1.05"),
    ("recipe_fp32", "≤ 0.40"),
    ("recipe_bf16", "≤ 0.25"),
    ("ranks_joint", "≤ 1.08"),
    ("ranks_suppressed", "≤ 1.08"),
    ("memory_suppressed", "≤ 0.65"),
    ("own_overhead", "≤ 0.01"),
    ("loader", "≥ 2"),
];

/// The ratios of a benchmark. Other tables are printed as they are added.
pub struct BenchmarkResults {
    ratios: BTreeMap<String, f64>,
    rows: Vec<Vec<String>>,
}

impl BenchmarkResults {
    pub fn new(threads: i32, clock: Clock) -> Self {
        println!("threads: {threads}; clock: {clock:?}");
        Self { ratios: BTreeMap::new(), rows: Vec::new() }
    }

    /// Adds the median ratio `name` / `reference` over the rounds, if both ran.
    pub fn add_ratio(&mut self, key: &str, times: &Times, name: &str, reference: &str) {
        if let Some([low, median, high]) = times.ratio(name, reference) {
            self.insert(key, median, format!("{low:.3} … {high:.3}"));
        }
    }

    /// Adds a single ratio.
    pub fn add(&mut self, key: &str, ratio: f64) {
        self.insert(key, ratio, String::new());
    }

    fn insert(&mut self, key: &str, ratio: f64, quartiles: String) {
        self.ratios.insert(key.to_owned(), ratio);
        let target = TARGETS.iter().find(|(name, _)| *name == key).map_or("", |(_, target)| target);
        let shown = if ratio < 0.01 { format!("{ratio:.5}") } else { format!("{ratio:.3}") };
        self.rows.push(vec![key.to_owned(), shown, quartiles, target.to_owned()]);
    }

    /// Prints the table of ratios and writes them to `out`.
    pub fn finish(self, out: &Path) -> Result<()> {
        print_table("Ratios", &["name", "median", "quartiles", "target"], self.rows);
        if let Some(folder) = out.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(out, serde_json::to_string_pretty(&self.ratios)? + "\n")?;
        println!("\nwrote {}", out.display());
        Ok(())
    }
}

/// Prints the median duration of every step.
pub fn print_times(times: &Times) {
    let row = |name: &str| vec![name.to_owned(), number(times.median(name) * 1e3)];
    let rows = times.names().map(row).collect();
    print_table("Median step time", &["step", "ms"], rows);
}

pub fn print_table(title: &str, header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(header).add_rows(rows);
    println!("\n{title}\n\n{table}");
}

/// A number with three significant digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
