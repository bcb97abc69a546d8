//! A CSV file whose columns grow.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::files;
use crate::error::{self, Error, Result};

/// A CSV file with a header, created with the first row.
#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    writer: Option<csv::Writer<File>>,
    header: Vec<String>,
}

/// The names of columns and their values.
pub(super) type Cells = Vec<(String, Option<f64>)>;

impl Table {
    /// A table in a file that does not exist yet; an existing one is removed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn new(path: &Path) -> Result<Self> {
        files::remove(path)?;
        Ok(Self { path: path.to_path_buf(), writer: None, header: Vec::new() })
    }

    /// Creates or truncates the file, and creates its parent directories.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn create(path: &Path) -> Result<Self> {
        let writer = Some(csv::Writer::from_writer(files::create(path)?));
        Ok(Self { path: path.to_path_buf(), writer, header: Vec::new() })
    }

    /// Opens the file of a table whose first column is `key`. Removes the rows with a key of at least `end`,
    /// and a truncated last row. Creates the file if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file whose first column is another one.
    pub(super) fn resume(path: &Path, key: &str, end: u64) -> Result<Self> {
        let mut header = Vec::new();
        let file = files::reopen(path, |i, line| {
            if i == 0 {
                header = fields(line);
            }
            let first = if i == 0 { "" } else { line.split(',').next().unwrap_or_default() };
            let own = header.first().is_some_and(|column| column == key);
            match (own, i, first.parse::<u64>()) {
                (true, 0, _) => Ok(true),
                (true, _, Ok(of)) => Ok(of < end),
                _ => Err(Error::data(
                    path,
                    format_args!("line {}", i + 1),
                    format_args!("a row whose first column is `{key}`"),
                    format_args!("{line:?}"),
                    "choose a file that `Csv` wrote, or create a new one",
                )),
            }
        })?;
        let writer = Some(csv::Writer::from_writer(file));
        Ok(Self { path: path.to_path_buf(), writer, header })
    }

    /// Writes a row and flushes it to the file. A value without a column adds one at the end.
    ///
    /// # Errors
    /// [`Error::Config`] for a column that is there twice; [`Error::Io`].
    pub(super) fn write(&mut self, cells: &Cells) -> Result<()> {
        let mut names: Vec<_> = cells.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!("columns of {}", self.path.display());
            let found = format!("{:?} twice", twice[0]);
            return Err(error::config(what, "distinct names", found, "rename the metric"));
        }
        let new = cells.iter().map(|(name, _)| name).filter(|name| !self.header.contains(name));
        let new: Vec<String> = new.cloned().collect();
        if self.header.is_empty() {
            self.write_row(&new)?;
            self.header = new;
        } else if !new.is_empty() {
            self.add_columns(new)?;
        }
        let value = |column: &String| {
            let cell = cells.iter().find(|(name, _)| name == column);
            cell.and_then(|(_, value)| *value).map_or_else(String::new, |v| v.to_string())
        };
        let row: Vec<String> = self.header.iter().map(value).collect();
        self.write_row(&row)?;
        let flushed = self.writer.as_mut().map_or(Ok(()), csv::Writer::flush);
        flushed.map_err(|e| Error::io("write the file", &self.path, e))
    }

    /// Adds columns at the end, which are empty in the existing rows.
    fn add_columns(&mut self, new: Vec<String>) -> Result<()> {
        let wider = || -> csv::Result<Vec<u8>> {
            let mut rows = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_path(&self.path)?;
            let mut wide = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for (i, row) in rows.records().enumerate() {
                let mut row = row?;
                new.iter().for_each(|name| row.push_field(if i == 0 { name } else { "" }));
                wide.write_record(&row)?;
            }
            wide.flush()?;
            Ok(wide.get_ref().clone())
        };
        files::replace(&self.path, &wider().map_err(|e| failed(&self.path, e))?)?;
        self.writer = Some(csv::Writer::from_writer(files::reopen(&self.path, |_, _| Ok(true))?));
        self.header.extend(new);
        Ok(())
    }

    fn write_row(&mut self, row: &[String]) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(csv::Writer::from_writer(files::create(&self.path)?)),
        };
        writer.write_record(row).map_err(|e| failed(&self.path, e))
    }
}

/// The fields of a line; empty for invalid CSV.
fn fields(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let row = reader.records().next().and_then(std::result::Result::ok);
    row.map_or_else(Vec::new, |row| row.iter().map(str::to_owned).collect())
}

fn failed(path: &Path, source: csv::Error) -> Error {
    Error::io("write the file", path, io::Error::other(source))
}
