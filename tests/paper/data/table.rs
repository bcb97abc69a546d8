//! Tables in CSV and XLSX.

use std::{fs, path::PathBuf};

use g2d::paper::data::Table;
use tempfile::TempDir;

use crate::support::assert_error;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/paper/fixtures").join(name)
}

fn xlsx() -> PathBuf {
    fixture("samples.xlsx")
}

fn csv(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples.csv");
    fs::write(&path, text).unwrap();
    (folder, path)
}

const SAMPLES: &str = "image,humidity,vwc\na.png,40,0.25\nb.png,,0.5\nc.png,NA,1\n\
                       d.png, 42.5 ,0.75\ne.png,nan,0.125\n";

#[test]
fn csv_and_xlsx_give_the_same_columns() {
    let (_folder, path) = csv(SAMPLES);
    for table in [Table::read(path).unwrap(), Table::read(xlsx()).unwrap()] {
        assert_eq!(table.header(), ["image", "humidity", "vwc"]);
        assert_eq!(table.len(), 5);
        let names = table.texts("image").unwrap();
        assert_eq!(names, ["a.png", "b.png", "c.png", "d.png", "e.png"]);
        let humidity = table.numbers("humidity").unwrap();
        assert_eq!([humidity[0], humidity[3]], [40.0, 42.5]);
        assert!([1, 2, 4].iter().all(|&row: &usize| humidity[row].is_nan()), "{humidity:?}");
        assert_eq!(table.numbers("vwc").unwrap(), [0.25, 0.5, 1.0, 0.75, 0.125]);
    }
}

#[test]
fn a_cell_that_is_no_number_is_an_error_with_file_column_and_line() {
    let (_folder, path) = csv("vwc\n0.1\nwet\n");
    let words = ["samples.csv", "\"vwc\"", "line 3", "\"wet\""];
    assert_error(Table::read(&path).unwrap().numbers("vwc"), &words);
    let (_folder, path) = csv("vwc\ninf\n");
    assert_error(Table::read(&path).unwrap().numbers("vwc"), &["finite"]);
    let (_folder, path) = csv("image\na.png\nNA\n");
    assert_error(Table::read(&path).unwrap().texts("image"), &["line 3"]);
}

#[test]
fn an_unknown_column_is_an_error_with_the_known_columns() {
    let (_folder, path) = csv(SAMPLES);
    assert_error(Table::read(path).unwrap().numbers("rain"), &["\"rain\"", "\"humidity\""]);
}

#[test]
fn damaged_files_and_other_formats_are_errors_with_their_path() {
    for (text, word) in [
        ("a,b\n1,2\n3\n", "line 3"),
        ("a,a\n1,2\n", "\"a\" twice"),
        ("a,b\n", "no row"),
        ("", "no row"),
    ] {
        let (_folder, path) = csv(text);
        assert_error(Table::read(path), &[word, "samples.csv"]);
    }
    let folder = tempfile::tempdir().unwrap();
    let truncated = folder.path().join("truncated.xlsx");
    let whole = fs::read(xlsx()).unwrap();
    fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    assert_error(Table::read(&truncated), &["truncated.xlsx"]);
    assert_error(Table::read(folder.path().join("none.csv")), &["none.csv"]);
    assert_error(Table::read(folder.path().join("none.xlsx")), &["none.xlsx"]);
    assert_error(Table::read(folder.path().join("table.ods")), &[".csv or .xlsx"]);
}

#[test]
fn a_cell_of_a_spreadsheet_that_is_no_number_is_an_error_with_sheet_row_and_column() {
    let table = Table::read(fixture("cells.xlsx")).unwrap();
    assert_eq!(table.len(), 2, "the row between them is empty");
    for (column, letter, word) in [
        ("date", "I", "a date or time"),
        ("time", "J", "a date or time"),
        ("duration", "K", "a date or time"),
        ("logical", "L", "the logical value TRUE"),
        ("error", "M", "the error #DIV/0!"),
        ("iso", "N", "2026-05-11"),
        ("uncomputed", "O", "a formula without its result"),
        ("comma", "P", "decimal point"),
        ("image", "B", "\"a.png\""),
    ] {
        let place = format!("(sheet \"Soil\", row 4, column {letter})");
        assert_error(table.numbers(column), &["cells.xlsx", column, "line 4", &place, word]);
    }
    assert_error(table.texts("number"), &["the number 0.5", "row 4, column C", "as text"]);
    assert_error(table.texts("date"), &["a date or time"]);
    assert_error(table.texts("na"), &["#N/A"]);
    // A date as target.
    let dates = Table::read(fixture("dates.xlsx")).unwrap();
    assert_error(dates.numbers("vwc"), &["\"Sheet\"", "row 4", "column C", "a date or time"]);
    assert_error(dates.numbers("humidity"), &["row 3", "column B"]);
}

#[test]
fn numbers_of_a_spreadsheet_are_read_in_every_form() {
    let table = Table::read(fixture("cells.xlsx")).unwrap();
    for (column, expected) in [
        ("number", [0.5, 2.0]),
        ("stored as text", [0.5, 2.0]),
        ("percent", [0.45, 0.5]),
        ("computed", [1.0, 4.0]),
    ] {
        assert_eq!(table.numbers(column).unwrap(), expected, "{column}");
    }
    for column in ["empty", "na"] {
        assert!(table.numbers(column).unwrap().iter().all(|x| x.is_nan()), "{column}");
    }
}

#[test]
fn a_text_that_is_no_plain_number_is_an_error_with_its_cause() {
    for (cell, word) in [
        ("\"1,234.5\"", "thousands separators"),
        ("\"40,5\"", "decimal point"),
        ("45%", "percent sign"),
        ("0x1F", "in decimal"),
        ("-inf", "finite"),
        ("1e999", "finite"),
        ("TRUE", "finite"),
        ("2026-05-11", "finite"),
        ("#DIV/0!", "finite"),
    ] {
        let (_folder, path) = csv(format!("x,y\n1,2\n{cell},1\n"));
        assert_error(Table::read(path).unwrap().numbers("x"), &["line 3", word]);
    }
    let (_folder, path) = csv("x,y\n+1.5,2\n-1e-3,1\n.5,1\n#N/A,1\nNaN,1\n");
    let numbers = Table::read(path).unwrap().numbers("x").unwrap();
    assert_eq!(numbers[..3], [1.5, -0.001, 0.5]);
    assert!(numbers[3..].iter().all(|x| x.is_nan()));
}

#[test]
fn lines_are_those_that_an_editor_shows() {
    for (text, line) in [
        ("a,b\n\n1,2\n\n\n3,4\n5,wet\n", "line 7"),
        ("a,b\n\"two\nlines\nhere\",2\n1,wet\n", "line 5"),
        ("a,b\r\n\r\n1,2\r\n\r\n\r\n3,4\r\n5,wet\r\n", "line 7"),
        ("a,b\r\"two\rlines\",2\r1,wet\r", "line 4"),
        ("sep=,\na,b\n1,2\n5,wet\n", "line 4"),
        ("\u{feff}\nTitle\n\na,b\n,,\n5,wet\n", "line 6"),
    ] {
        let (_folder, path) = csv(text);
        assert_error(Table::read(path).unwrap().numbers("b"), &[line, "\"wet\""]);
    }
    let table = Table::read(fixture("leading_rows.xlsx")).unwrap();
    assert_error(table.numbers("humidity"), &["line 6", "column B", "\"wet\""]);
    assert_eq!(table.line(2), 7);
}

#[test]
fn what_programs_add_to_a_table_is_left_out() {
    let plain = "image,humidity,vwc\na.png,40,0.25\nb.png,41,0.5\n";
    let wide = |unit: fn(u16) -> [u8; 2], mark: [u8; 2]| {
        let units = plain.encode_utf16().flat_map(unit);
        mark.into_iter().chain(units).collect::<Vec<u8>>()
    };
    let mut texts: Vec<Vec<u8>> = [
        plain.to_owned(),
        format!("\u{feff}{plain}"),
        format!("sep=,\n{plain}"),
        format!("SEP=;\r\n{}", plain.replace(',', ";").replace('\n', "\r\n")),
        plain.replace(',', ";"),
        plain.replace(',', "\t"),
        plain.replace('\n', "\r"),
        plain.replace('\n', ",,\n"),
        format!("{plain},,\n,,\n"),
        format!("Soil moisture 2024\n\n{plain}"),
        format!("Soil moisture 2024,,\n,,\n{plain}"),
        plain.replace("image,humidity,vwc", " image , humidity , vwc "),
        // The numbers of the rows that pandas writes.
        ",image,humidity,vwc\n0,a.png,40,0.25\n1,b.png,41,0.5\n".to_owned(),
        plain.replace("humidity", "Humidity").replace(",vwc", ",VWC"),
    ]
    .map(String::into_bytes)
    .into();
    texts.push(wide(u16::to_le_bytes, [0xff, 0xfe]));
    texts.push(wide(u16::to_be_bytes, [0xfe, 0xff]));
    for text in texts {
        let (_folder, path) = csv(&text);
        let table = Table::read(path).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(table.texts("image").unwrap(), ["a.png", "b.png"], "{text:?}");
        assert_eq!(table.numbers("humidity").unwrap(), [40.0, 41.0], "{text:?}");
        assert_eq!(table.numbers("vwc").unwrap(), [0.25, 0.5], "{text:?}");
        assert_eq!(table.header().len(), 3, "{text:?}");
    }
    let table = Table::read(fixture("title_above.xlsx")).unwrap();
    assert_eq!(table.header(), ["image", "humidity", "vwc"]);
    assert_eq!(table.numbers("vwc").unwrap(), [0.25, 0.5, 0.75]);
}

#[test]
fn decimal_commas_are_read_where_no_comma_can_separate_thousands() {
    let read = |cells: &str| {
        let (_folder, path) = csv(format!("image;x\n{cells}"));
        Table::read(path).unwrap().numbers("x")
    };
    assert_eq!(read("a;40,5\nb;1,234\nc;-3\n").unwrap(), [40.5, 1.234, -3.0]);
    assert_eq!(read("a;0,125\n").unwrap(), [0.125]);
    assert_error(read("a;1,234\nb;2,345\n"), &["line 2", "\"1,234\""]);
    assert_error(read("a;1,234.5\nb;1,5\n"), &["line 2"]);
    assert_error(read("a;40.5\nb;1,5\n"), &["line 3"]);
}

#[test]
fn names_are_compared_without_case_and_spaces_unless_two_are_alike() {
    let (_folder, path) = csv("Wind Speed,wind_direction,Wind-Direction\n1,2,3\n");
    let table = Table::read(path).unwrap();
    assert_eq!(table.numbers("wind_speed").unwrap(), [1.0]);
    assert_eq!(table.numbers("wind_direction").unwrap(), [2.0]);
    assert_error(table.numbers("wind direction"), &["\"Wind-Direction\""]);
}

#[test]
fn a_table_whose_meaning_is_not_plain_is_an_error_that_names_it() {
    for (text, words) in [
        ("a,b,,\n1,2,,\n3,4,5,\n", &["column 3 in line 1", "a name", "\"5\" in line 3"][..]),
        ("a,b\n1,2,3\n", &["line 2", "2 cells", "found 3"]),
        ("x,a,a\n1,2,3\n", &["columns 2 and 3 in line 1", "\"a\" twice"]),
        ("a,b\n1,\"two\n2,3\n", &["line 2", "quotation mark", "not closed"]),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", &["git lfs pull"]),
        ("<!DOCTYPE html>\n<html>", &["an HTML page"]),
    ] {
        let (_folder, path) = csv(text);
        assert_error(Table::read(path), words);
    }
    let (_folder, path) = csv(b"name,x\nM\xfcller,1\n");
    assert_error(Table::read(path), &["line 2", "0xfc", "UTF-8"]);
    let (_folder, path) =
        csv("a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    assert_error(Table::read(path), &["UTF-16 without a byte order mark"]);
    let (_folder, path) = csv(fs::read(xlsx()).unwrap());
    assert_error(Table::read(path), &["ZIP", ".xlsx"]);
    let folder = tempfile::tempdir().unwrap();
    let pointer = folder.path().join("samples.xlsx");
    fs::write(&pointer, "version https://git-lfs.github.com/spec/v1\noid sha256:1\n").unwrap();
    assert_error(Table::read(&pointer), &["samples.xlsx", "git lfs pull"]);
    fs::write(&pointer, [0xd0, 0xcf, 0x11, 0xe0, 0xa1]).unwrap();
    assert_error(Table::read(&pointer), &["XLS", "without a password"]);
}
