//! The header of a table: which row it is, and which columns it names.

use std::path::Path;

use super::{
    cell::CellKind,
    grid::{Grid, Row},
};
use crate::error::{Error, Result};

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    /// Its position in the rows.
    pub index: usize,
}

/// Takes the rows up to the header from the grid, and returns the columns that the header names.
///
/// Rows without a cell that is filled are left out. A row with a single cell above a row of names is a
/// title.
pub(super) fn take(path: &Path, grid: &mut Grid) -> Result<Vec<Column>> {
    grid.rows.retain(|row| filled(row) > 0);
    let header =
        grid.rows.iter().position(|row| filled(row) > 1).filter(|&i| is_names(&grid.rows[i]));
    let mut rows = std::mem::take(&mut grid.rows).into_iter().skip(header.unwrap_or(0));
    let header = rows.next();
    grid.rows = rows.collect();
    let Some(header) = header.filter(|_| !grid.rows.is_empty()) else {
        let found = match &grid.sheet {
            Some(sheet) => format!("no row in sheet {sheet:?}"),
            None => "no row".to_owned(),
        };
        let hint = "add a row for each sample below the names of the columns";
        return Err(Error::data(path, "table", "a header and rows", found, hint));
    };
    let names = header.cells.iter().map(|cell| cell.text.trim());
    let columns: Vec<Column> = (0..)
        .zip(names)
        .filter(|(_, name)| !name.is_empty())
        .map(|(index, name)| Column { index, name: name.to_owned() })
        .collect();
    let position = |index| grid.column(index);
    for (i, column) in columns.iter().enumerate() {
        if let Some(first) = columns[..i].iter().find(|first| first.name == column.name) {
            let (a, b) = (position(first.index), position(column.index));
            let what = format!("columns {a} and {b} in line {}", header.line);
            let found = format!("{:?} twice", column.name);
            return Err(Error::data(path, what, "distinct names", found, "rename one"));
        }
    }
    check_rows(path, grid, &columns, &header)?;
    Ok(columns)
}

/// Checks that every row has a cell for every name, and no value outside the named columns.
///
/// The first column may be unnamed: programs write the numbers of the rows there.
fn check_rows(path: &Path, grid: &Grid, columns: &[Column], header: &Row) -> Result<()> {
    let width = columns.last().map_or(0, |last| last.index + 1);
    let is_named = |index: usize| columns.iter().any(|column| column.index == index);
    for row in &grid.rows {
        let beyond = row.cells.iter().skip(width).any(|cell| !cell.is_empty());
        if row.cells.len() < width || (beyond && row.cells.len() > header.cells.len()) {
            let (what, expected) = (format!("line {}", row.line), format!("{width} cells"));
            let hint = "correct the row; a text that contains the separator needs quotation marks";
            return Err(Error::data(path, what, expected, row.cells.len(), hint));
        }
        let unnamed = (1..row.cells.len()).find(|&i| !is_named(i) && !row.cells[i].is_empty());
        if let Some(i) = unnamed {
            let what = format!("column {} in line {}", grid.column(i), header.line);
            let found = format!("none, and {} in line {}", row.cells[i].found(), row.line);
            let hint = "name the column, or empty it";
            return Err(Error::data(path, what, "a name", found, hint));
        }
    }
    Ok(())
}

/// The number of cells that are not empty.
fn filled(row: &Row) -> usize {
    row.cells.iter().filter(|cell| !cell.is_empty()).count()
}

/// Returns whether all cells may be names of columns.
fn is_names(row: &Row) -> bool {
    let is_number = |text: &str| text.parse::<f64>().is_ok();
    row.cells.iter().all(|cell| cell.kind == CellKind::Text && !is_number(&cell.text))
}
