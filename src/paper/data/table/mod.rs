//! Tables in CSV or XLSX files.

mod cell;
mod grid;
mod header;
mod xlsx;

use std::path::{Path, PathBuf};

use super::{delimited::Delimited, file::extension};
use crate::error::{Error, Result};
use cell::{Cell, CellKind};
use grid::{Grid, Row};
use header::Column;

/// A table with named columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    path: PathBuf,
    names: Vec<String>,
    columns: Vec<Column>,
    grid: Grid,
}

impl Table {
    /// Reads a `.csv` or the first visible sheet of an `.xlsx`.
    ///
    /// CSV is UTF-8, or UTF-16 with a byte order mark. The separator is the one of comma, semicolon and
    /// tab that divides the most lines into the same number of cells, or the one that a first line
    /// such as `sep=;` names.
    ///
    /// The first row names the columns, after rows with a single cell (a title). Rows and columns in
    /// which every cell is empty are left out, and so is a first column without a name.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] for another file type, a corrupted
    /// file, columns of the same name, values in a column without a name, rows of different lengths,
    /// or no rows.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut grid = match &*extension(path) {
            "csv" => read_csv(path)?,
            "xlsx" => xlsx::read(path)?,
            other => {
                let (found, hint) = (format!("{other:?}"), "save the table as CSV or XLSX");
                return Err(Error::data(path, "file type", ".csv or .xlsx", found, hint));
            }
        };
        let columns = header::take(path, &mut grid)?;
        let names = columns.iter().map(|column| column.name.clone()).collect();
        Ok(Self { path: path.to_path_buf(), names, columns, grid })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of the columns.
    pub fn header(&self) -> &[String] {
        &self.names
    }

    /// Returns the number of rows below the header.
    pub fn len(&self) -> usize {
        self.grid.rows.len()
    }

    /// Returns `false`, since a table has at least one row.
    pub fn is_empty(&self) -> bool {
        self.grid.rows.is_empty()
    }

    /// Returns the line of a row, counted from 1, as an editor or spreadsheet program shows it.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn line(&self, row: usize) -> usize {
        self.grid.rows[row].line
    }

    /// Returns the trimmed texts of a column, found as [`numbers`](Self::numbers) finds it.
    ///
    /// # Errors
    /// [`Error::Data`] for an unknown column, a missing value, or a cell of a spreadsheet that is not a
    /// text: a number has lost the zeros before it.
    pub fn texts(&self, column: &str) -> Result<Vec<&str>> {
        let text = |(row, cell): (usize, &'_ Cell)| match cell.kind {
            CellKind::Text if !cell.is_missing() => Ok(row),
            CellKind::Number => {
                let hint = "format the column as text, and enter the text again";
                Err(self.invalid(column, row, "a text", &cell.found(), hint))
            }
            _ => {
                let hint = "fill the cell with a text, or remove the row";
                Err(self.invalid(column, row, "a text", &cell.found(), hint))
            }
        };
        let cells = self.cells(column)?;
        let checked = cells.iter().enumerate().map(|(row, cell)| text((row, cell)));
        checked.map(|row| Ok(&*cells[row?].text)).collect()
    }

    /// Returns the numbers of a column, with NaN for missing values: an empty cell, `NA`, `N/A`,
    /// `#N/A`, `<NA>`, `NaN`, `null` or `None`.
    ///
    /// Column names are compared exactly or, if no name is equal, without regard to case and with
    /// spaces, hyphens and underscores alike. A number that a spreadsheet stores as text is read, and a
    /// percentage is its fraction. Cells separated by semicolons or tabs may have decimal commas; a
    /// column in which every comma may as well separate thousands is not read.
    ///
    /// # Errors
    /// [`Error::Data`] for an unknown column or a cell that is not a finite number, such as a date, a
    /// logical value, an error other than `#N/A`, or a formula whose result is not in the file.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>> {
        let cells = self.cells(column)?;
        let commas: Vec<bool> = cells.iter().filter_map(|cell| cell.decimal_comma()).collect();
        let separated = self.grid.separator.is_some_and(|separator| separator != b',');
        let decimal_comma = separated
            && commas.contains(&false)
            && !cells.iter().any(|cell| cell.text.contains('.'));
        let number = |(row, cell): (usize, &&Cell)| match cell.is_missing() {
            true => Ok(f64::NAN),
            false => cell
                .number(decimal_comma)
                .map_err(|hint| self.invalid(column, row, "a finite number", &cell.found(), hint)),
        };
        cells.iter().enumerate().map(number).collect()
    }

    /// The cells of a column.
    fn cells(&self, column: &str) -> Result<Vec<&Cell>> {
        let index = self.find(column)?.index;
        Ok(self.grid.rows.iter().map(|row| &row.cells[index]).collect())
    }

    fn find(&self, name: &str) -> Result<&Column> {
        if let Some(column) = self.columns.iter().find(|column| column.name == name) {
            return Ok(column);
        }
        let alike = |column: &&Column| simplified(&column.name) == simplified(name);
        let found: Vec<&Column> = self.columns.iter().filter(alike).collect();
        match found[..] {
            [column] => Ok(column),
            _ => {
                let (expected, found) = (format!("a column {name:?}"), format!("{:?}", self.names));
                let hint = "pass the name of one of the table's columns";
                Err(Error::data(&self.path, "columns", expected, found, hint))
            }
        }
    }

    /// An error about the cell of a row.
    pub(super) fn invalid(
        &self,
        column: &str,
        row: usize,
        expected: &str,
        found: &str,
        hint: &str,
    ) -> Error {
        let line = self.line(row);
        let mut what = format!("column {column:?}, line {line}");
        if let (Some(sheet), Ok(column)) = (&self.grid.sheet, self.find(column)) {
            let column = self.grid.column(column.index);
            what += &format!(" (sheet {sheet:?}, row {line}, column {column})");
        }
        Error::data(&self.path, what, expected, found, hint)
    }
}

/// A name in lower case, its words joined by underscores.
fn simplified(name: &str) -> String {
    let is_space = |c: char| c.is_whitespace() || c == '-' || c == '_';
    let words: Vec<&str> = name.split(is_space).filter(|word| !word.is_empty()).collect();
    words.join("_").to_lowercase()
}

fn read_csv(path: &Path) -> Result<Grid> {
    let Delimited { separator, records } = Delimited::read(path)?;
    let cell = |text| Cell::new(CellKind::Text, text);
    let rows = records.into_iter().map(|record| Row {
        line: record.line,
        cells: record.cells.into_iter().map(cell).collect(),
    });
    Ok(Grid { sheet: None, first_column: 0, separator: Some(separator), rows: rows.collect() })
}
