//! Tables with the names of image files.

use std::{fs, path::Path};

use g2d::{Modality, Result};
use g2d::{
    data::{BatchOrder, InMemory},
    paper::data::{HouseModalities, ImageColumns, ImageTable, TargetScale},
};
use image::{Rgb, RgbImage};
use tch::Device;

use crate::support::{assert_elements, assert_error, elements, shared_file};

/// A folder of four images of one colour each, and the tables of three splits with two rows each.
fn folder(layout: &ImageTable, ending: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join(&layout.image_folder);
    fs::create_dir_all(&images).unwrap();
    for (name, colour) in
        [("red", [255, 0, 0]), ("green", [0, 255, 0]), ("blue", [0, 0, 255]), ("white", [255; 3])]
    {
        RgbImage::from_pixel(6, 10, Rgb(colour)).save(images.join(format!("{name}.png"))).unwrap();
    }
    // The splits differ in the image of column `two`, and in that of column `one`.
    for (split, one, two) in
        [("train", "red", "green"), ("val", "green", "red"), ("test", "white", "blue")]
    {
        let table = TABLE.replace("red.png,green.png,blue", &format!("{one}.png,{two}.png,blue"));
        let table = match split {
            "train" => table,
            "val" => table.replace("blue.png,white.png,red", "SECOND.png,THIRD.png,red"),
            _ => table.replace("blue.png,white.png,red", "THIRD.png,SECOND.png,red"),
        };
        fs::write(folder.path().join(format!("{split}.{ending}")), table).unwrap();
    }
    for name in ["SECOND", "THIRD"] {
        fs::copy(images.join("red.png"), images.join(format!("{name}.png"))).unwrap();
    }
    folder
}

const TABLE: &str = "one,two,three,four,wind,sun,moisture\n\
                     red.png,green.png,blue.png,white.png,1,,0.2\n\
                     blue.png,white.png,red.png,green.png,3,7,0.4\n";

fn layout(images: Vec<ImageColumns>) -> ImageTable {
    ImageTable {
        image_folder: "pictures".into(),
        images,
        table: "weather".into(),
        columns: vec!["wind".to_owned(), "sun".to_owned()],
        target: "moisture".to_owned(),
        side: 4,
    }
}

fn train(layout: &ImageTable, folder: &Path) -> Result<InMemory> {
    let ([train, ..], _) = layout.splits(folder, 0)?.standardised(TargetScale::Standard)?;
    Ok(train)
}

#[test]
fn the_columns_of_a_table_become_images_numbers_and_a_target() {
    let layout = layout(vec![ImageColumns::new("image", "two")]);
    let folder = folder(&layout, "csv");
    let train = train(&layout, folder.path()).unwrap();
    assert_eq!(train.modalities(), Modality::list(["image", "weather"]));
    let batch = train.batches(&BatchOrder::stored(2), 0, Device::Cpu).next().unwrap().unwrap();
    assert_eq!(batch.input(0).size(), [2, 3, 4, 4]);
    assert_elements(&batch.input(0).select(2, 1).select(2, 1), &[0.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    assert_elements(batch.input(1), &[-1.0, 0.0, 1.0, 0.0]);
    assert_elements(batch.targets(), &[-1.0, 1.0]);
}

#[test]
fn four_images_are_tiled_row_by_row() {
    let columns = ["one", "two", "three", "four"].map(str::to_owned).into();
    let layout = layout(vec![ImageColumns { modality: "photos".into(), columns }]);
    let folder = folder(&layout, "csv");
    let train = train(&layout, folder.path()).unwrap();
    let pixel = |y: i64, x: i64| elements(&train.input(0).select(0, 0).select(1, y).select(1, x));
    assert_eq!(pixel(0, 1), [255.0, 0.0, 0.0]);
    assert_eq!(pixel(1, 2), [0.0, 255.0, 0.0]);
    assert_eq!(pixel(2, 0), [0.0, 0.0, 255.0]);
    assert_eq!(pixel(3, 3), [255.0, 255.0, 255.0]);
}

#[test]
fn a_single_table_is_split_at_random_by_its_seed() {
    let layout = layout(vec![ImageColumns::new("image", "one")]);
    let folder = folder(&layout, "csv");
    for split in ["train", "val", "test"] {
        fs::remove_file(folder.path().join(format!("{split}.csv"))).unwrap();
    }
    for i in 0..10 {
        let images = folder.path().join("pictures");
        fs::copy(images.join("red.png"), images.join(format!("{i}.png"))).unwrap();
    }
    let row = |i: usize| format!("{i}.png,red.png,red.png,red.png,{i},{i},{i}.5\n");
    let header = TABLE.lines().next().unwrap().to_owned() + "\n";
    fs::write(folder.path().join("samples.csv"), header + &(0..10).map(row).collect::<String>())
        .unwrap();
    let targets = |seed| {
        let splits = layout.splits(folder.path(), seed).unwrap();
        [splits.train, splits.val, splits.test].map(|rows| elements(rows.targets()))
    };
    let [train, val, test] = targets(1);
    assert_eq!([train.len(), val.len(), test.len()], [6, 2, 2]);
    let mut all = [train, val, test].concat();
    all.sort_by(f64::total_cmp);
    assert_eq!(all, (0..10).map(|i| f64::from(i) + 0.5).collect::<Vec<_>>());
    assert_eq!(targets(1), targets(1));
    assert_ne!(targets(1), targets(2));
}

#[test]
fn missing_and_damaged_images_are_errors_with_their_name() {
    let layout = layout(vec![ImageColumns::new("image", "one")]);
    let folder = folder(&layout, "csv");
    let blue = folder.path().join("pictures/blue.png");
    let whole = fs::read(&blue).unwrap();
    fs::write(&blue, &whole[..whole.len() / 2]).unwrap();
    assert_error(train(&layout, folder.path()), &["blue.png"]);
    fs::write(&blue, "no picture").unwrap();
    assert_error(train(&layout, folder.path()), &["blue.png"]);
    fs::remove_file(&blue).unwrap();
    assert_error(train(&layout, folder.path()), &["blue.png"]);
}

#[test]
fn a_missing_target_is_an_error_with_file_and_line() {
    let layout = layout(vec![ImageColumns::new("image", "one")]);
    let folder = folder(&layout, "csv");
    let path = folder.path().join("test.csv");
    fs::write(&path, TABLE.replace("0.4", "")).unwrap();
    assert_error(layout.splits(folder.path(), 0), &["test.csv", "line 3"]);
    fs::remove_file(path).unwrap();
    assert_error(layout.splits(folder.path(), 0), &["test.csv"]);
}

#[test]
fn a_sample_is_in_one_row_of_one_table() {
    let layout = layout(vec![ImageColumns::new("image", "one")]);
    let folder = folder(&layout, "csv");
    let write = |name: &str, rows: &str| {
        let header = TABLE.lines().next().unwrap();
        fs::write(folder.path().join(name), format!("{header}\n{rows}")).unwrap();
    };
    write("train.csv", "red.png,,,,1,2,0.2\nblue.png,,,,1,2,0.3\nred.png,,,,3,4,0.2\n");
    let words =
        ["train.csv line 2 (moisture 0.2)", "train.csv line 4", "\"red.png\"", "remove one row"];
    assert_error(layout.splits(folder.path(), 0), &words);
    assert_error(layout.read(folder.path().join("train.csv")), &words);
    write("train.csv", "red.png,,,,1,2,0.2\nred.png,,,,1,2,0.3\n");
    let words = ["line 2 (moisture 0.2)", "line 3 (moisture 0.3)", "wrong target"];
    assert_error(layout.splits(folder.path(), 0), &words);
    write("train.csv", "red.png,,,,1,2,0.2\nblue.png,,,,1,2,0.3\n");
    write("test.csv", "\nred.png,,,,1,2,0.2\n");
    let words = ["train.csv line 2", "test.csv line 3", "two splits"];
    assert_error(layout.splits(folder.path(), 0), &words);
}

#[test]
fn names_of_images_are_found_in_other_spellings_and_else_an_error_with_line_and_cause() {
    let layout = layout(vec![ImageColumns::new("image", "one")]);
    let folder = folder(&layout, "csv");
    let pictures = folder.path().join("pictures");
    fs::create_dir(pictures.join("sub")).unwrap();
    for name in ["0001.png", "IMG 2.PNG", "cafe\u{301}.png", "sub/a.png", "x.PNG", "x.png"] {
        fs::copy(pictures.join("red.png"), pictures.join(name)).unwrap();
    }
    let read = |names: [&str; 2]| {
        let header = TABLE.lines().next().unwrap();
        let [a, b] = names.map(|name| format!("{name},,,,1,2,0.2\n"));
        let path = folder.path().join("some.csv");
        fs::write(&path, format!("{header}\n{a}{b}")).unwrap();
        layout.read(path)
    };
    read(["IMG 2.png", "caf\u{e9}.png"]).unwrap();
    read(["sub\\a.png", "x.png"]).unwrap();
    let words = ["some.csv", "\"one\", line 3", "\"1.png\"", "\"0001.png\""];
    assert_error(read(["red.png", "1.png"]), &words);
    assert_error(read(["red.png", "x.Png"]), &["line 3", "x.PNG", "x.png"]);
    assert_error(read(["none.png", "red.png"]), &["line 2", "which is not in", "add the image"]);
    assert_error(read(["red.png", "no/a.png"]), &["no folder"]);
}

#[test]
fn a_layout_is_read_from_json_and_an_invalid_one_is_an_error() {
    let mut layout = layout(vec![ImageColumns::new("image", "one")]);
    let json = serde_json::to_string(&layout).unwrap();
    assert_eq!(serde_json::from_str::<ImageTable>(&json).unwrap(), layout);
    layout.images[0].columns.push("two".to_owned());
    assert_error(layout.read("none.csv"), &["1, 4, 9"]);
}

#[test]
fn the_houses_data_set_has_two_or_five_modalities() {
    let Some(folder) = shared_file("data/houses") else { return };
    for (how, sides) in [(HouseModalities::Two, vec![64]), (HouseModalities::Five, vec![32; 4])] {
        let splits = ImageTable::houses(how).splits(&folder, 0).unwrap();
        let ([train, val, test], _) = splits.standardised(TargetScale::Log).unwrap();
        assert_eq!([train.len(), val.len(), test.len()], [321, 107, 107]);
        for (m, side) in sides.iter().enumerate() {
            assert_eq!(train.input(m).size(), [321, 3, *side, *side]);
        }
        assert_eq!(train.input(sides.len()).size(), [321, 4]);
    }
}
