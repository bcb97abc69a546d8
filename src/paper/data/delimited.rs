//! Text files with separated values, and the lines of their records.

use std::{collections::BTreeMap, io::Read, path::Path};

use super::{
    content::other_than_table,
    file::{corrupted, open},
};
use crate::error::{Error, Result};

/// The separators that are recognised; the first one wins a tie.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// The number of records from which the separator is found.
const SAMPLE: usize = 1000;

/// A record: its cells, trimmed, and the line on which it starts, as an editor numbers lines.
#[derive(Debug)]
pub(super) struct Record {
    pub line: usize,
    pub cells: Vec<String>,
}

/// The content of a file.
#[derive(Debug)]
pub(super) struct Delimited {
    pub separator: u8,
    /// The records with at least one cell that is not empty.
    pub records: Vec<Record>,
}

impl Delimited {
    /// Reads text in UTF-8, or in UTF-16 with a byte order mark.
    ///
    /// A first line `sep=;` names the separator, as for Excel; otherwise it is the one of comma,
    /// semicolon and tab that divides the most records into the same number of cells. Lines may end
    /// as on Unix, Windows or old Macs.
    pub fn read(path: &Path) -> Result<Self> {
        let text = text(path)?;
        let (named, start) = separator_line(&text);
        let separator = match named {
            Some(named) if named.is_ascii() => named as u8,
            Some(named) => {
                let hint = "separate the cells by commas";
                return Err(Error::data(path, "line 1", "an ASCII separator", named, hint));
            }
            None => separator(&text),
        };
        let mut lines = Lines { bytes: text.as_bytes(), at: 0, line: 1 };
        let mut records = Vec::new();
        for record in reader(&text[start..], separator).records() {
            let record = record.map_err(|e| corrupted(path, "table", "CSV", e))?;
            let begin = record.position().map_or(0, |position| position.byte() as usize);
            let line = lines.first_of_record(start + begin);
            let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_owned()).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                records.push(Record { line, cells });
            }
        }
        // Such a quotation mark takes the rest of the file into its cell.
        let is_open = text[lines.at..].matches('"').count() % 2 == 1;
        match records.last() {
            Some(last) if is_open && last.cells.iter().any(|cell| cell.contains(['\r', '\n'])) => {
                let (what, found) = (format!("line {}", last.line), "one that is not closed");
                let hint = "close it, or double it if it is part of the text";
                Err(Error::data(path, what, "pairs of quotation marks", found, hint))
            }
            _ => Ok(Self { separator, records }),
        }
    }
}

/// The text of a file, without its byte order mark.
fn text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(|e| Error::io("read the file", path, e))?;
    let refused = |found: &str, hint: &str| Error::data(path, "table", "text", found, hint);
    if let Some((found, hint)) = other_than_table(&bytes) {
        return Err(refused(found, hint));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(refused("a ZIP archive, as XLSX files are", "name an XLSX file .xlsx"));
    }
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let text = String::from_utf16(&units.iter().map(|&pair| unit(pair)).collect::<Vec<_>>());
        let whole = text.ok().filter(|_| rest.is_empty());
        whole.ok_or_else(|| corrupted(path, "table", "UTF-16", "other or truncated bytes"))
    };
    match &*bytes {
        [0xff, 0xfe, rest @ ..] => return wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => return wide(rest, u16::from_be_bytes),
        _ if bytes.contains(&0) => {
            let found = "zero bytes, as in UTF-16 without a byte order mark";
            return Err(refused(found, "save the table as CSV in UTF-8"));
        }
        [0xef, 0xbb, 0xbf, ..] => drop(bytes.drain(..3)),
        _ => {}
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = Lines { bytes: e.as_bytes(), at: 0, line: 1 }.line_of(at);
        let found = format!("the byte {:#04x}, as in Windows-1252 or Latin-1", e.as_bytes()[at]);
        let hint = "save the table as CSV in UTF-8";
        Error::data(path, format!("line {line}"), "text in UTF-8 or UTF-16", found, hint)
    })
}

/// The separator that a first line `sep=;` names, and where the text after the line starts.
fn separator_line(text: &str) -> (Option<char>, usize) {
    let end = text.find(['\r', '\n']).unwrap_or(text.len());
    let line = text[..end].trim_matches('"');
    let named = match line.get(..4) {
        Some(key) if key.eq_ignore_ascii_case("sep=") => line[4..].chars().next(),
        _ => None,
    };
    // A program that does not know the line may have added empty cells to it.
    let rest = line.get(4..).unwrap_or_default();
    match named.filter(|named| rest.chars().all(|c| c == *named)) {
        None => (None, 0),
        named => (named, end),
    }
}

fn separator(text: &str) -> u8 {
    let score = |separator: &u8| {
        let mut counts = BTreeMap::new();
        for record in reader(text, *separator).records().flatten().take(SAMPLE) {
            if record.len() > 1 && record.iter().any(|cell| !cell.trim().is_empty()) {
                *counts.entry(record.len()).or_insert(0_usize) += 1;
            }
        }
        counts.into_iter().map(|(cells, records)| (records, cells)).max()
    };
    SEPARATORS.into_iter().rev().max_by_key(score).unwrap_or(b',')
}

fn reader(text: &str, separator: u8) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator).from_reader(text.as_bytes())
}

/// Counts lines up to a position that moves forward.
struct Lines<'t> {
    bytes: &'t [u8],
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the byte at `offset`.
    fn line_of(&mut self, offset: usize) -> usize {
        while self.at < offset {
            let next = self.bytes.get(self.at + 1);
            match self.bytes[self.at] {
                b'\n' => self.line += 1,
                b'\r' if next != Some(&b'\n') => self.line += 1,
                _ => {}
            }
            self.at += 1;
        }
        self.line
    }

    /// The first line of the record that is read from `offset` on, after empty lines.
    fn first_of_record(&mut self, offset: usize) -> usize {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let empty = self.bytes[offset..].iter().take_while(|byte| is_break(byte)).count();
        self.line_of(offset + empty)
    }
}
