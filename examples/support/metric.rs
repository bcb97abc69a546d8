//! What a result is measured by, and which way is better.

use std::collections::BTreeMap;

use serde::Serialize;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "an example has metrics of one direction or both")]
pub enum Better {
    Higher,
    Lower,
}

/// A measure of predictions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Metric {
    /// Its name in files.
    pub key: &'static str,
    /// Its name and unit for people.
    pub title: &'static str,
    pub better: Better,
    #[serde(skip)]
    pub decimals: usize,
    /// The values that it can take.
    #[serde(skip)]
    pub range: [f64; 2],
}

impl Metric {
    #[allow(dead_code, reason = "regression has none")]
    pub const ACCURACY: Self = Self {
        key: "accuracy",
        title: "accuracy %",
        better: Better::Higher,
        decimals: 1,
        range: [0.0, 100.0],
    };

    /// Its key on a split: `test_accuracy`.
    pub fn on(&self, split: &str) -> String {
        format!("{split}_{}", self.key)
    }

    /// A value, in its decimals.
    pub fn show(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }

    /// The better of two values.
    pub fn better_of(&self, a: f64, b: f64) -> f64 {
        match self.better {
            Better::Higher => a.max(b),
            Better::Lower => a.min(b),
        }
    }
}

/// Values by metric and split: `test_accuracy`, `val_accuracy`, ….
pub type Scores = BTreeMap<String, f64>;
