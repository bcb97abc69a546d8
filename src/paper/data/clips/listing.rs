//! CSV files that list the clips of a data set.

use std::{collections::HashSet, fmt::Display, path::Path, sync::Arc};

use crate::error::{Error, Result};
use crate::paper::data::file::open;

/// A listed clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The row's number over all listings: the id of the sample.
    pub id: i64,
    pub clip: String,
    pub label: String,
    /// The other columns.
    pub rest: Vec<String>,
    /// The file, for error messages.
    pub listing: Arc<Path>,
}

/// The columns of a listing. The first one is the clip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListingFormat {
    /// Number of columns.
    pub columns: usize,
    /// Index of the label's column.
    pub label: usize,
    /// A row, for error messages.
    pub example: &'static str,
}

impl ListingFormat {
    const CLIP_LABEL: Self = Self { columns: 2, label: 1, example: "clip,label" };

    /// Reads the rows `clip,label` of train.csv and test.csv in `root`, numbered from 0 over both.
    pub fn read_train_and_test(root: &Path) -> Result<[Vec<Row>; 2]> {
        let train = Self::CLIP_LABEL.read(&root.join("train.csv"), 0)?;
        let path = root.join("test.csv");
        let test = Self::CLIP_LABEL.read(&path, train.len() as i64)?;
        let clips: HashSet<&str> = train.iter().map(|row| &*row.clip).collect();
        match test.iter().find(|row| clips.contains(&*row.clip)) {
            None => Ok([train, test]),
            Some(Row { clip, .. }) => {
                let (what, hint) = (format!("clip {clip:?}"), "remove it from one of them");
                Err(Error::data(&path, what, "one listing", "train.csv too", hint))
            }
        }
    }

    /// Reads rows without a header, numbered from `first`; lines that start with `#` are comments.
    pub fn read(self, path: &Path, first: i64) -> Result<Vec<Row>> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(open(path)?);
        let listing: Arc<Path> = path.into();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| self.invalid(path, "row", e))?;
            let cells: Vec<&str> = record.iter().collect();
            let complete = cells.len() == self.columns
                && !cells[0].is_empty()
                && !cells[self.label].is_empty();
            // A header would otherwise become a class.
            let is_header = || rows.is_empty() && cells[self.label].eq_ignore_ascii_case("label");
            if !complete || is_header() {
                let line = record.position().map_or(0, csv::Position::line);
                let what = format!("line {line}");
                return Err(self.invalid(path, what, format_args!("{cells:?}")));
            }
            let rest = (1..self.columns).filter(|column| *column != self.label);
            rows.push(Row {
                id: first + rows.len() as i64,
                clip: cells[0].to_owned(),
                label: cells[self.label].to_owned(),
                rest: rest.map(|column| cells[column].to_owned()).collect(),
                listing: Arc::clone(&listing),
            });
        }
        match rows.is_empty() {
            true => Err(self.invalid(path, "rows", "none")),
            false => Ok(rows),
        }
    }

    fn invalid(self, path: &Path, what: impl Display, found: impl Display) -> Error {
        let expected = format!("`{}` without a header", self.example);
        Error::data(path, what, expected, found, "correct the line")
    }
}
