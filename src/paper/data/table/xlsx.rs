//! Sheets of XLSX files.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
};

use calamine::{Data, Reader, SheetType, SheetVisible, Xlsx, XlsxError};

use super::{
    cell::{Cell, CellKind},
    grid::{Grid, Row},
};
use crate::error::{Error, Result};
use crate::paper::data::{
    content::other_than_table,
    file::{corrupted, open},
};

/// Reads the first sheet that is not hidden.
pub(super) fn read(path: &Path) -> Result<Grid> {
    let unreadable = |e| Error::io("read the file", path, e);
    let invalid = |e: XlsxError| match e {
        XlsxError::Io(e) => unreadable(e),
        error => corrupted(path, "table", "a complete XLSX file", error),
    };
    let mut file = open(path)?;
    let mut start = Vec::new();
    (&mut file).take(64).read_to_end(&mut start).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    if let Some((found, hint)) = other_than_table(&start) {
        return Err(Error::data(path, "table", "an XLSX file", found, hint));
    }
    let mut book: Xlsx<BufReader<File>> = Xlsx::new(BufReader::new(file)).map_err(invalid)?;
    let sheets = || book.sheets_metadata().iter().filter(|s| s.typ == SheetType::WorkSheet);
    let visible = sheets().find(|sheet| sheet.visible == SheetVisible::Visible);
    let Some(sheet) = visible.or_else(|| sheets().next()) else {
        let hint = "save the table as the first sheet of the file";
        return Err(Error::data(path, "table", "a sheet", "none", hint));
    };
    let name = sheet.name.clone();
    let values = book.worksheet_range(&name).map_err(invalid)?;
    // Only to find formulas without a result, which are empty cells among the values.
    let formulas = book.worksheet_formula(&name).unwrap_or_default();
    let corners = [(values.start(), values.end()), (formulas.start(), formulas.end())];
    let ranges: Vec<_> = corners.into_iter().filter_map(|(start, end)| start.zip(end)).collect();
    let rows = ranges.iter().map(|(start, end)| (start.0, end.0)).reduce(union);
    let columns = ranges.iter().map(|(start, end)| (start.1, end.1)).reduce(union);
    let (Some(rows), Some(columns)) = (rows, columns) else {
        return Ok(Grid { sheet: Some(name), first_column: 0, separator: None, rows: Vec::new() });
    };
    let cell = |row, column| {
        let value = values.get_value((row, column)).unwrap_or(&Data::Empty);
        let formula = formulas.get_value((row, column)).is_some_and(|text| !text.is_empty());
        cell(value, formula)
    };
    let row = |row| {
        let cells = (columns.0..=columns.1).map(|column| cell(row, column)).collect();
        Row { line: row as usize + 1, cells }
    };
    let (first_column, rows) = (columns.0 as usize, (rows.0..=rows.1).map(row).collect());
    Ok(Grid { sheet: Some(name), first_column, separator: None, rows })
}

/// The smallest range that contains both.
fn union(a: (u32, u32), b: (u32, u32)) -> (u32, u32) {
    (a.0.min(b.0), a.1.max(b.1))
}

fn cell(value: &Data, has_formula: bool) -> Cell {
    match value {
        Data::Empty if has_formula => Cell::new(CellKind::Formula, ""),
        Data::Empty => Cell::new(CellKind::Text, ""),
        Data::String(text) => Cell::new(CellKind::Text, text.trim()),
        Data::Int(number) => Cell::new(CellKind::Number, number.to_string()),
        Data::Float(number) => Cell::new(CellKind::Number, number.to_string()),
        Data::Bool(value) => Cell::new(CellKind::Logical, if *value { "TRUE" } else { "FALSE" }),
        Data::DateTime(date) => {
            Cell::new(CellKind::Date, format!("serial number {}", date.as_f64()))
        }
        Data::DateTimeIso(text) | Data::DurationIso(text) => Cell::new(CellKind::Date, text),
        Data::Error(error) => Cell::new(CellKind::Error, error.to_string()),
    }
}
