//! Tables in CSV or XLSX files.

use std::path::{Path, PathBuf};

use calamine::{Data, Reader, Xlsx, XlsxError, open_workbook};

use super::file::{corrupted, extension};
use crate::error::{Error, Result};

/// The texts of a cell without a value, in any case.
const MISSING: [&str; 6] = ["", "na", "n/a", "nan", "null", "none"];

/// A table with named columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a `.csv` or the first sheet of an `.xlsx`, whose first row names the columns.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] for another file type, a corrupted
    /// file, columns of the same name, rows of different lengths, or no rows.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let lines = match &*extension(path) {
            "csv" => read_csv(path)?,
            "xlsx" => read_xlsx(path)?,
            other => {
                let (found, hint) = (format!("{other:?}"), "save the table as CSV or XLSX");
                return Err(Error::data(path, "file type", ".csv or .xlsx", found, hint));
            }
        };
        let mut lines = lines.into_iter();
        let header: Vec<String> =
            lines.next().unwrap_or_default().iter().map(|name| name.trim().to_owned()).collect();
        let rows: Vec<_> = lines.collect();
        if rows.is_empty() {
            return Err(corrupted(path, "table", "a header and rows", "no row"));
        }
        if let Some(i) = (1..header.len()).find(|&i| header[..i].contains(&header[i])) {
            let found = format!("{:?} twice", header[i]);
            return Err(Error::data(path, "columns", "distinct names", found, "rename one"));
        }
        Ok(Self { path: path.to_path_buf(), header, rows })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of the columns.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Returns the number of rows below the header.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns `false`, since a table has at least one row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the trimmed texts of a column.
    ///
    /// # Errors
    /// [`Error::Data`] for an unknown column or a missing value.
    pub fn texts(&self, column: &str) -> Result<Vec<&str>> {
        let cells = self.cells(column)?;
        if let Some((line, _)) = cells.iter().find(|(_, cell)| is_missing(cell)) {
            let hint = "fill the cell or remove the row";
            return Err(self.invalid(column, *line, "a text", "an empty cell", hint));
        }
        Ok(cells.into_iter().map(|(_, cell)| cell).collect())
    }

    /// Returns the numbers of a column, with NaN for missing values: an empty cell, `NA`, `N/A`,
    /// `NaN`, `null` or `None`.
    ///
    /// # Errors
    /// [`Error::Data`] for an unknown column or a cell that is not a finite number.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>> {
        let number = |(line, cell): (usize, &str)| match cell.parse::<f64>() {
            _ if is_missing(cell) => Ok(f64::NAN),
            Ok(number) if number.is_finite() => Ok(number),
            _ => {
                let found = format!("{cell:?}");
                let hint = "correct the cell, or empty it if the value is missing";
                Err(self.invalid(column, line, "a finite number", &found, hint))
            }
        };
        self.cells(column)?.into_iter().map(number).collect()
    }

    /// The cells of a column with their line numbers, counted from 1.
    fn cells(&self, column: &str) -> Result<Vec<(usize, &str)>> {
        let Some(i) = self.header.iter().position(|name| name == column) else {
            let expected = format!("a column {column:?}");
            let found = format!("{:?}", self.header);
            let hint = "pass the name of one of the table's columns";
            return Err(Error::data(&self.path, "columns", expected, found, hint));
        };
        Ok(self.rows.iter().enumerate().map(|(row, cells)| (row + 2, cells[i].trim())).collect())
    }

    fn invalid(&self, column: &str, line: usize, expected: &str, found: &str, hint: &str) -> Error {
        let what = format!("column {column:?}, line {line}");
        Error::data(&self.path, what, expected, found, hint)
    }
}

fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

fn read_csv(path: &Path) -> Result<Vec<Vec<String>>> {
    let invalid = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => Error::io("read the file", path, e),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let what = format!("line {}", pos.map_or(0, |pos| pos.line()));
            Error::data(path, what, format_args!("{expected_len} cells"), len, "correct the row")
        }
        _ => corrupted(path, "table", "CSV in UTF-8", "other bytes"),
    };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).from_path(path).map_err(invalid)?;
    let cells = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
    reader.records().map(|row| row.map(cells).map_err(invalid)).collect()
}

fn read_xlsx(path: &Path) -> Result<Vec<Vec<String>>> {
    let invalid = |e: XlsxError| match e {
        XlsxError::Io(e) => Error::io("read the file", path, e),
        error => corrupted(path, "table", "a complete XLSX file", error),
    };
    let mut book: Xlsx<_> = open_workbook(path).map_err(invalid)?;
    let Some(sheet) = book.worksheet_range_at(0) else {
        return Err(corrupted(path, "table", "a sheet", "none"));
    };
    Ok(sheet.map_err(invalid)?.rows().map(|row| row.iter().map(text).collect()).collect())
}

/// A cell's text; an error such as `#N/A` is a missing value.
fn text(cell: &Data) -> String {
    match cell {
        Data::Error(_) | Data::Empty => String::new(),
        Data::DateTime(date) => date.as_f64().to_string(),
        other => other.to_string(),
    }
}
