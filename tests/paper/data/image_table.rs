//! Tables with the names of image files.

use std::{fs, path::Path};

use g2d::{Modality, Result};
use g2d::{
    data::{InMemory, Order},
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
    for split in ["train", "val", "test"] {
        fs::write(folder.path().join(format!("{split}.{ending}")), TABLE).unwrap();
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
    let batch = train.batches(2, Order::Stored, Device::Cpu).next().unwrap().unwrap();
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
    let row = |i: usize| format!("red.png,red.png,red.png,red.png,{i},{i},{i}.5\n");
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
