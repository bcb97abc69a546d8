//! Tables of a data set: CSV or XLSX.

use std::path::{Path, PathBuf};

use calamine::{Data, Reader, Xlsx, XlsxError, open_workbook};

use crate::error::{Error, Result};

/// What stands in a cell that has no value, in any case.
const MISSING: [&str; 6] = ["", "na", "n/a", "nan", "null", "none"];

/// A table with named columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    path: PathBuf,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads a `.csv` or the first sheet of an `.xlsx`; the first row names the columns.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] for another ending, a damaged file,
    /// columns that share a name, a row of another length, or no row; all with the path.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let ending = path.extension().map(|e| e.to_ascii_lowercase());
        let mut lines = match ending.as_ref().and_then(|e| e.to_str()) {
            Some("csv") => csv_lines(path)?,
            Some("xlsx") => xlsx_lines(path)?,
            _ => {
                let hint = "save the table as CSV or XLSX";
                return Err(Error::data(path, "table", ".csv or .xlsx", "another ending", hint));
            }
        }
        .into_iter();
        let header: Vec<String> =
            lines.next().unwrap_or_default().iter().map(|name| name.trim().to_owned()).collect();
        let rows: Vec<_> = lines.collect();
        if rows.is_empty() {
            let hint = "fetch the file again";
            return Err(Error::data(path, "table", "a header and rows", "no row", hint));
        }
        let twice = header.iter().enumerate().find(|(i, name)| header[..*i].contains(name));
        if let Some((_, name)) = twice {
            let found = format!("{name:?} twice");
            return Err(Error::data(path, "columns", "distinct names", found, "rename one"));
        }
        Ok(Self { path: path.to_path_buf(), header, rows })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The columns' names.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The number of rows below the header.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never: a table without rows is not read.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The texts of a column, without the spaces around them; none may be missing.
    ///
    /// # Errors
    /// [`Error::Data`] with the file, the column and the line.
    pub fn texts(&self, column: &str) -> Result<Vec<&str>> {
        let cells = self.cells(column)?;
        if let Some((line, _)) = cells.iter().find(|(_, cell)| is_missing(cell)) {
            let hint = "fill the cell or leave the row out";
            return Err(self.wrong(column, *line, "a text", "an empty cell", hint));
        }
        Ok(cells.into_iter().map(|(_, cell)| cell).collect())
    }

    /// The numbers of a column; NaN where a cell is empty or says `NA`, `N/A`, `NaN`, `null` or
    /// `None`.
    ///
    /// # Errors
    /// [`Error::Data`] with the file, the column and the line of a cell that is no finite number.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>> {
        let number = |(line, cell): (usize, &str)| match cell.parse::<f64>() {
            _ if is_missing(cell) => Ok(f64::NAN),
            Ok(number) if number.is_finite() => Ok(number),
            _ => {
                let found = format!("{cell:?}");
                let hint = "fix the cell, or empty it if the value is missing";
                Err(self.wrong(column, line, "a finite number", &found, hint))
            }
        };
        self.cells(column)?.into_iter().map(number).collect()
    }

    /// The cells of a column and the lines they stand in, counted from 1.
    fn cells(&self, column: &str) -> Result<Vec<(usize, &str)>> {
        let Some(place) = self.header.iter().position(|name| name == column) else {
            let (expected, found) = (format!("a column {column:?}"), format!("{:?}", self.header));
            let hint = "name the table's own column in the layout";
            return Err(Error::data(&self.path, "columns", expected, found, hint));
        };
        Ok(self.rows.iter().enumerate().map(|(i, row)| (i + 2, row[place].trim())).collect())
    }

    fn wrong(&self, column: &str, line: usize, expected: &str, found: &str, hint: &str) -> Error {
        Error::data(&self.path, format!("column {column:?}, line {line}"), expected, found, hint)
    }
}

fn is_missing(cell: &str) -> bool {
    MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

fn csv_lines(path: &Path) -> Result<Vec<Vec<String>>> {
    let failed = |e: csv::Error| match e.into_kind() {
        csv::ErrorKind::Io(e) => Error::io("read the file", path, e),
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.map_or_else(String::new, |pos| format!(" {}", pos.line()));
            let (expected, found) = (format!("{expected_len} cells"), format!("{len}"));
            Error::data(path, format!("line{line}"), expected, found, "fix the row")
        }
        _ => Error::data(path, "table", "CSV in UTF-8", "other bytes", "save it again as UTF-8"),
    };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).from_path(path).map_err(failed)?;
    let cells = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
    reader.records().map(|row| row.map(cells).map_err(failed)).collect()
}

fn xlsx_lines(path: &Path) -> Result<Vec<Vec<String>>> {
    let failed = |e: XlsxError| match e {
        XlsxError::Io(e) => Error::io("read the file", path, e),
        other => {
            let found = other.to_string();
            Error::data(path, "table", "a whole XLSX file", found, "save it again, or as CSV")
        }
    };
    let mut book: Xlsx<_> = open_workbook(path).map_err(failed)?;
    let Some(sheet) = book.worksheet_range_at(0) else {
        return Err(Error::data(path, "table", "a sheet", "none", "save the table again"));
    };
    Ok(sheet.map_err(failed)?.rows().map(|row| row.iter().map(cell).collect()).collect())
}

/// A cell's text; an error such as `#N/A` is a missing value.
fn cell(data: &Data) -> String {
    match data {
        Data::Error(_) | Data::Empty => String::new(),
        Data::DateTime(date) => date.as_f64().to_string(),
        other => other.to_string(),
    }
}
