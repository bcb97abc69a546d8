//! The cells of a table.

/// The texts of a cell without a value, in any case.
const MISSING: [&str; 8] = ["", "na", "n/a", "#n/a", "nan", "null", "none", "<na>"];

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    /// A text, in a spreadsheet or in CSV, which has texts only; empty for an empty cell.
    Text,
    /// A number of a spreadsheet.
    Number,
    /// A date, a time or a duration of a spreadsheet.
    Date,
    /// TRUE or FALSE of a spreadsheet.
    Logical,
    /// An error of a spreadsheet.
    Error,
    /// A formula of a spreadsheet whose result is not in the file.
    Formula,
}

/// A cell, with its value as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    pub kind: CellKind,
    pub text: String,
}

impl Cell {
    pub fn new(kind: CellKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Returns whether nothing was entered.
    pub fn is_empty(&self) -> bool {
        self.kind == CellKind::Text && self.text.is_empty()
    }

    /// Returns whether the cell stands for a missing value.
    pub fn is_missing(&self) -> bool {
        let has_value = matches!(self.kind, CellKind::Text | CellKind::Error);
        has_value && MISSING.iter().any(|missing| self.text.eq_ignore_ascii_case(missing))
    }

    /// The content, for error messages.
    pub fn found(&self) -> String {
        let text = &self.text;
        match self.kind {
            CellKind::Text if text.is_empty() => "an empty cell".to_owned(),
            CellKind::Text => format!("{text:?}"),
            CellKind::Number => format!("the number {text}"),
            CellKind::Date => format!("a date or time ({text})"),
            CellKind::Logical => format!("the logical value {text}"),
            CellKind::Error => format!("the error {text}"),
            CellKind::Formula => "a formula without its result".to_owned(),
        }
    }

    /// The finite number in the cell, or a hint.
    pub fn number(&self, decimal_comma: bool) -> Result<f64, &'static str> {
        let text = match decimal_comma {
            true => self.text.replace(',', "."),
            false => self.text.clone(),
        };
        match self.kind {
            CellKind::Text | CellKind::Number => {
                let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
                number.ok_or_else(|| no_number(&text))
            }
            CellKind::Date => Err("format the cell as a number, and enter its value again"),
            CellKind::Logical => Err("enter 1 or 0"),
            CellKind::Error => {
                Err("correct the formula, or empty the cell if the value is missing")
            }
            CellKind::Formula => Err("open the file in a spreadsheet program, and save it"),
        }
    }

    /// Returns whether the cell is a number with a comma before its decimals, and whether it may as
    /// well be one with a comma before its thousands.
    pub fn decimal_comma(&self) -> Option<bool> {
        let (whole, decimals) = self.text.split_once(',')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let whole = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let is_number = self.kind == CellKind::Text && digits(whole) && digits(decimals);
        is_number.then(|| decimals.len() == 3 && whole.len() <= 3 && !whole.starts_with('0'))
    }
}

/// The hint for a text that is not a number.
fn no_number(text: &str) -> &'static str {
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    match () {
        () if !has_digit => "correct the cell, or empty it if the value is missing",
        () if text.ends_with('%') => "write the number without the percent sign in every row",
        () if text.contains(',') => {
            "write the number with a decimal point and without thousands separators"
        }
        () if text.starts_with("0x") || text.starts_with("0X") => "write the number in decimal",
        () => "correct the cell, or empty it if the value is missing",
    }
}
