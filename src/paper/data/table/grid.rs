//! The cells of a file, row by row.

use super::cell::Cell;

/// The cells of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grid {
    /// The name of the sheet, in a spreadsheet.
    pub sheet: Option<String>,
    /// The number of columns before the first cell of a row.
    pub first_column: usize,
    /// The separator of the cells, in a text.
    pub separator: Option<u8>,
    pub rows: Vec<Row>,
}

/// A row and the line on which it starts, as an editor or spreadsheet program numbers lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub line: usize,
    pub cells: Vec<Cell>,
}

impl Grid {
    /// The column of a cell, for error messages: letters in a spreadsheet, else its number from 1.
    pub fn column(&self, index: usize) -> String {
        let mut rest = self.first_column + index + 1;
        if self.sheet.is_none() {
            return rest.to_string();
        }
        let mut letters = Vec::new();
        while rest > 0 {
            letters.push(char::from(b'A' + ((rest - 1) % 26) as u8));
            rest = (rest - 1) / 26;
        }
        letters.into_iter().rev().collect()
    }
}
