//! CSV files that list the clips of a data set.

use std::{collections::HashMap, fmt::Display, path::Path, sync::Arc};

use crate::error::{Error, Result};
use crate::paper::data::delimited::{Delimited, Record};

/// A listed clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// The row's number over all listings: the id of the sample.
    pub id: i64,
    /// The cells in the order of the format's columns. The first one, the clip, has no extension.
    pub cells: Vec<String>,
    /// `train`, `test`, or empty.
    pub part: &'static str,
    /// The file and the line, for error messages.
    pub listing: Arc<Path>,
    pub line: usize,
}

impl Row {
    pub fn clip(&self) -> &str {
        &self.cells[0]
    }

    /// The label, in the column after the clip.
    pub fn label(&self) -> &str {
        &self.cells[1]
    }

    /// An error about the row.
    pub fn invalid(&self, expected: impl Display, found: impl Display, hint: &str) -> Error {
        let what = format!("line {}, clip {:?}", self.line, self.clip());
        Error::data(&self.listing, what, expected, found, hint)
    }

    /// The file, line, part and label, for error messages.
    fn place(&self) -> String {
        let Self { line, part, .. } = self;
        let file = self.listing.file_name().unwrap_or_default().to_string_lossy();
        let part = if part.is_empty() { String::new() } else { format!("{part}, ") };
        format!("{file} line {line} ({part}{:?})", self.label())
    }
}

/// A column of a listing: its position without a header, and its names in a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListingColumn {
    pub position: usize,
    pub names: &'static [&'static str],
}

/// The columns of a listing: first the clip, then the label, then others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListingFormat {
    pub columns: &'static [ListingColumn],
    /// A row, for error messages.
    pub example: &'static str,
}

/// Names of a label's column.
pub(crate) const LABEL_NAMES: &[&str] = &["label", "class", "category", "emotion"];

/// Names of a clip's column.
pub(crate) const CLIP_NAMES: &[&str] =
    &["clip", "clip name", "file", "filename", "file name", "video", "name", "id"];

/// Extensions of media files, which are taken off the names of clips.
const MEDIA: [&str; 8] = ["mp4", "wav", "mp3", "flv", "avi", "mkv", "webm", "m4a"];

/// What a spreadsheet program writes in place of a text such as `-0PQM4`, which it takes for a formula.
const SPREADSHEET_ERRORS: [&str; 7] =
    ["#NAME?", "#VALUE!", "#REF!", "#DIV/0!", "#N/A", "#NUM!", "#NULL!"];

impl ListingFormat {
    const CLIP_LABEL: Self = Self {
        columns: &[
            ListingColumn { position: 0, names: CLIP_NAMES },
            ListingColumn { position: 1, names: LABEL_NAMES },
        ],
        example: "clip,label",
    };

    /// Reads the rows `clip,label` of train.csv and test.csv in `root`, numbered from 0 over both.
    pub fn read_train_and_test(root: &Path) -> Result<[Vec<Row>; 2]> {
        let mut train = Self::CLIP_LABEL.read(&root.join("train.csv"), 0)?;
        let mut test = Self::CLIP_LABEL.read(&root.join("test.csv"), train.len() as i64)?;
        train.iter_mut().for_each(|row| row.part = "train");
        test.iter_mut().for_each(|row| row.part = "test");
        check_distinct(train.iter().chain(&test))?;
        Ok([train, test])
    }

    /// Reads the rows, numbered from `first`.
    ///
    /// A first row with the names of columns is a header, and its columns may have any order. Lines
    /// that start with `#` are comments.
    pub fn read(self, path: &Path, first: i64) -> Result<Vec<Row>> {
        let listing: Arc<Path> = path.into();
        let mut records = Delimited::read(path)?.records;
        let is_comment = |cell: &str| cell.starts_with('#') && !SPREADSHEET_ERRORS.contains(&cell);
        records.retain(|record| !is_comment(&record.cells[0]));
        let mut records = records.into_iter().peekable();
        let header = records.next_if(|record| self.is_header(record));
        let positions = self.positions(path, header.as_ref())?;
        let width = header.map(|header| header.cells.len());
        let mut rows = Vec::new();
        for Record { line, cells } in records {
            let is_empty = |i: &usize| cells.get(*i).is_none_or(String::is_empty);
            let ends = width.unwrap_or(self.columns.len());
            let beyond = cells.iter().skip(ends).any(|cell| !cell.is_empty());
            if beyond || positions.iter().any(is_empty) {
                let hint = "correct the line; a text with a comma needs quotation marks";
                return Err(self.invalid(path, line, format!("{cells:?}"), hint));
            }
            if let Some(error) = cells.iter().find(|cell| SPREADSHEET_ERRORS.contains(&&***cell)) {
                let hint = "a spreadsheet program took the text for a formula: \
                            use the listing as it was published";
                return Err(self.invalid(path, line, error, hint));
            }
            let mut cells: Vec<String> = positions.iter().map(|&i| cells[i].clone()).collect();
            if let Some((clip, extension)) = cells[0].rsplit_once('.')
                && MEDIA.iter().any(|media| extension.eq_ignore_ascii_case(media))
            {
                cells[0] = clip.to_owned();
            }
            let (id, listing) = (first + rows.len() as i64, Arc::clone(&listing));
            rows.push(Row { id, cells, part: "", listing, line });
        }
        match rows.is_empty() {
            false => Ok(rows),
            true => {
                let (expected, hint) = (format!("`{}`", self.example), "list the clips");
                Err(Error::data(path, "rows", expected, "none", hint))
            }
        }
    }

    /// Returns whether a row names the label's column, or two columns.
    fn is_header(self, record: &Record) -> bool {
        let cells = &record.cells;
        let is_label = |cell: &String| self.columns[1].is_named(cell);
        cells.get(self.columns[1].position).is_some_and(is_label)
            || self.columns.iter().filter(|c| cells.iter().any(|cell| c.is_named(cell))).count() > 1
    }

    /// The positions of the columns.
    fn positions(self, path: &Path, header: Option<&Record>) -> Result<Vec<usize>> {
        let Some(Record { line, cells }) = header else {
            return Ok(self.columns.iter().map(|column| column.position).collect());
        };
        let position = |column: &ListingColumn| {
            let named = cells.iter().position(|cell| column.is_named(cell));
            let by_order = Some(column.position).filter(|_| cells.len() == self.columns.len());
            named.or(by_order).ok_or_else(|| {
                let (what, names) = (format!("header in line {line}"), column.names);
                let expected = format!("a column {:?}", names[0]);
                let hint = format!("name it by one of {names:?}");
                Error::data(path, what, expected, format!("{cells:?}"), hint)
            })
        };
        self.columns.iter().map(position).collect()
    }

    fn invalid(self, path: &Path, line: usize, found: impl Display, hint: &str) -> Error {
        Error::data(path, format!("line {line}"), format!("`{}`", self.example), found, hint)
    }
}

impl ListingColumn {
    fn is_named(&self, cell: &str) -> bool {
        let cell = cell.to_lowercase().replace(['_', '-'], " ");
        self.names.contains(&&*cell)
    }
}

/// Checks that every clip is listed once: a second row repeats it, contradicts its label, or is in the
/// test part too.
pub(crate) fn check_distinct<'r>(rows: impl Iterator<Item = &'r Row>) -> Result<()> {
    let mut seen: HashMap<&str, &Row> = HashMap::new();
    for row in rows {
        let Some(first) = seen.insert(row.clip(), row) else { continue };
        let hint = match () {
            () if first.label() != row.label() => "remove the line with the wrong label",
            () if first.part != row.part => {
                "remove one line: a test on clips of the training measures nothing"
            }
            () => "remove one line",
        };
        let found = format!("{} and {}", first.place(), row.place());
        return Err(row.invalid("one line for the clip", found, hint));
    }
    Ok(())
}
