//! The CSV files that say which clips there are.

use std::fmt::Display;
use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use crate::error::{Error, Result};

/// A listed clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::paper::data) struct Row {
    /// Its number over all listings, which becomes the sample's id.
    pub id: i64,
    pub clip: String,
    pub label: String,
    /// The other columns, as they stand.
    pub rest: Vec<String>,
    /// Where it is listed, for messages.
    pub listing: Arc<Path>,
}

/// How many columns a row has, and how its clip is called.
#[derive(Debug, Clone, Copy)]
pub(in crate::paper::data) struct Columns {
    /// Columns of every row.
    pub count: usize,
    /// Which column holds the label.
    pub label: usize,
    /// What one row looks like, for messages.
    pub example: &'static str,
}

impl Columns {
    /// `clip,label`
    pub const CLIP_LABEL: Self = Self { count: 2, label: 1, example: "clip,label" };

    /// Reads rows without a header; lines that start with `#` are comments. Ids count on from `first`.
    pub fn read(self, path: &Path, first: i64) -> Result<Vec<Row>> {
        let file = File::open(path).map_err(|e| Error::io("open the file", path, e))?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(BufReader::new(file));
        let listing: Arc<Path> = path.into();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| self.wrong(path, "row", e.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let whole = record.len() == self.count && !record[0].is_empty();
            // A header would become a class of its own.
            let header = |label: &str| rows.is_empty() && label.eq_ignore_ascii_case("label");
            if !whole || record[self.label].is_empty() || header(&record[self.label]) {
                let found = format!("{:?}", record.iter().collect::<Vec<_>>());
                return Err(self.wrong(path, format!("line {line}"), found));
            }
            let rest = (1..self.count).filter(|c| *c != self.label);
            rows.push(Row {
                id: first + rows.len() as i64,
                clip: record[0].to_owned(),
                label: record[self.label].to_owned(),
                rest: rest.map(|c| record[c].to_owned()).collect(),
                listing: Arc::clone(&listing),
            });
        }
        match rows.is_empty() {
            true => Err(self.wrong(path, "rows", "none".into())),
            false => Ok(rows),
        }
    }

    fn wrong(self, path: &Path, what: impl Display, found: String) -> Error {
        let expected = format!("`{}` without a header", self.example);
        Error::data(path, what, expected, found, "correct the line")
    }
}
