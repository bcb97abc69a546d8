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

/// How exactly a value is shown.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "values in units of their own are regression's")]
pub enum Digits {
    /// After the point.
    Decimals(usize),
    /// In all, so that any unit will do.
    Significant(i32),
}

/// A measure of predictions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Metric {
    /// Its name in files.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Its unit; empty for none.
    pub unit: &'static str,
    pub better: Better,
    #[serde(skip)]
    pub digits: Digits,
}

impl Metric {
    #[allow(dead_code, reason = "regression has none")]
    pub const ACCURACY: Self = Self {
        key: "accuracy",
        name: "accuracy",
        unit: "%",
        better: Better::Higher,
        digits: Digits::Decimals(1),
    };

    /// Its name and unit.
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.unit).trim_end().to_owned()
    }

    /// A value, so that higher is better.
    pub fn goodness(&self, value: f64) -> f64 {
        match self.better {
            Better::Higher => value,
            Better::Lower => -value,
        }
    }

    /// Its key on a split: `test_accuracy`.
    pub fn on(&self, split: &str) -> String {
        format!("{split}_{}", self.key)
    }

    /// A value, in its digits.
    pub fn show(&self, value: f64) -> String {
        let decimals = match self.digits {
            Digits::Decimals(decimals) => decimals,
            Digits::Significant(digits) => {
                let before =
                    if value == 0.0 { 0.0 } else { value.abs().log10().floor() } as i32 + 1;
                (digits - before).max(0) as usize
            }
        };
        format!("{value:.decimals$}")
    }

    /// The same with its sign.
    pub fn signed(&self, value: f64) -> String {
        let sign = if value >= 0.0 { "+" } else { "" };
        format!("{sign}{}", self.show(value))
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

#[cfg(test)]
mod tests {
    use super::{Digits, Metric};

    #[test]
    fn values_of_any_unit_have_their_digits() {
        let metric = Metric { digits: Digits::Significant(3), ..Metric::ACCURACY };
        let shown = [351_260.4, 22.46, 0.10034, 0.0].map(|value| metric.show(value));
        assert_eq!(shown, ["351260", "22.5", "0.100", "0.00"]);
        assert_eq!(Metric::ACCURACY.signed(1.25), "+1.2");
        assert_eq!(Metric::ACCURACY.signed(-0.5), "-0.5");
    }
}
