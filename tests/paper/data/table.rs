//! Tables in CSV and XLSX.

use std::{fs, path::PathBuf};

use g2d::paper::data::Table;
use tempfile::TempDir;

use crate::support::assert_error;

fn xlsx() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/paper/fixtures/samples.xlsx")
}

fn csv(text: &str) -> (TempDir, PathBuf) {
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
