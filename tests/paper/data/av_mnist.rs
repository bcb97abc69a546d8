//! AV-MNIST in folders of NumPy files.

use std::{fs, path::Path};

use g2d::{Batch, Error, Modality, Result};
use g2d::{
    data::{BatchOrder, InMemory},
    paper::data::AvMnist,
};
use ndarray::{Array, Array1, Array2, Array3};
use ndarray_npy::{WritableElement, write_npy};
use tch::{Device, Kind};

use crate::support::{assert_error, assert_mismatch};

const SIDE: usize = 3;

/// Writes a split of images [n, 784] and spectrograms [n, 3, 3] with increasing bytes, and the
/// labels 0, 1, ….
fn write_split(folder: &Path, split: &str, n: usize) {
    for part in ["audio", "image"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let image = Array2::from_shape_fn((n, 784), |(i, j)| ((i + j) % 256) as u8);
    let audio = Array3::from_shape_fn((n, SIDE, SIDE), |(i, y, x)| (9 * i + 3 * y + x) as u8);
    write(folder, &format!("image/{split}_data"), &image);
    write(folder, &format!("audio/{split}_data"), &audio);
    write(folder, &format!("{split}_labels"), &Array1::from_iter((0..n as i64).map(|y| y % 10)));
}

fn write<T: WritableElement, D: ndarray::Dimension>(folder: &Path, name: &str, a: &Array<T, D>) {
    write_npy(folder.join(format!("{name}.npy")), a).unwrap();
}

fn filled<T: Clone>(n: usize, value: T) -> Array3<T> {
    Array3::from_elem((n, SIDE, SIDE), value)
}

/// Reads a valid folder with training and test splits after `change`.
fn read(change: impl FnOnce(&Path)) -> Result<AvMnist> {
    let folder = tempfile::tempdir().unwrap();
    write_split(folder.path(), "train", 5);
    write_split(folder.path(), "test", 4);
    change(folder.path());
    AvMnist::from_folder(folder.path())
}

fn all(set: &InMemory) -> Batch {
    set.batches(&BatchOrder::stored(set.len()), 0, Device::Cpu).next().unwrap().unwrap()
}

#[test]
fn a_folder_is_read_with_and_without_validation() {
    let set = read(|_| ()).unwrap();
    assert_eq!((set.train.len(), set.test.len(), set.val.is_none()), (5, 4, true));
    assert_eq!(set.train.modalities(), Modality::list(["audio", "image"]));
    let batch = all(&set.train);
    assert_eq!(batch.input(0).size(), [5, 1, 3, 3]);
    assert_eq!(batch.input(1).size(), [5, 1, 28, 28]);
    assert!(batch.inputs().iter().all(|x| x.kind() == Kind::Float));
    assert_eq!(batch.input(0).double_value(&[2, 0, 1, 1]), f64::from(22.0_f32 / 255.0));
    assert_eq!(batch.input(1).double_value(&[1, 0, 1, 2]), f64::from(31.0_f32 / 255.0));
    assert_eq!(Vec::<i64>::try_from(batch.targets()).unwrap(), [0, 1, 2, 3, 4]);

    let set = read(|folder| write_split(folder, "val", 2)).unwrap();
    assert_eq!(set.val.unwrap().len(), 2);
}

/// Both splits with images and spectrograms of these constant values.
fn constant<A: WritableElement + Clone, I: WritableElement + Clone>(
    audio: [A; 2],
    image: [I; 2],
) -> Result<[f64; 4]> {
    let ([audio, test_audio], [image, test_image]) = (audio, image);
    let set = read(move |folder| {
        let fill = |name: &str, n, value| write(folder, name, &filled(n, value));
        fill("audio/train_data", 5, audio);
        fill("audio/test_data", 4, test_audio);
        let fill = |name: &str, n, value| write(folder, name, &filled(n, value));
        fill("image/train_data", 5, image);
        fill("image/test_data", 4, test_image);
    })?;
    let first = |set: &InMemory, m| {
        let batch = all(set);
        assert_eq!(batch.input(m).kind(), Kind::Float);
        batch.input(m).double_value(&[0, 0, 0, 0])
    };
    Ok([first(&set.train, 0), first(&set.test, 0), first(&set.train, 1), first(&set.test, 1)])
}

#[test]
fn the_values_and_not_the_dtype_determine_the_scale() {
    // As the data set is published: images as floats and spectrograms as bytes, of 0 to 255.
    let near = |found: [f64; 4], expected: [f64; 4]| {
        let near = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6);
        assert!(near, "{found:?} against {expected:?}");
    };
    near(constant([51_u8; 2], [102.0_f32; 2]).unwrap(), [0.2, 0.2, 0.4, 0.4]);
    near(constant([51.0_f64; 2], [102_i64; 2]).unwrap(), [0.2, 0.2, 0.4, 0.4]);
    near(constant([0.25_f32; 2], [0.5_f64; 2]).unwrap(), [0.25, 0.25, 0.5, 0.5]);
    // Pixels that are on or off.
    near(constant([1_u8, 1], [1_u16, 0]).unwrap(), [1.0, 1.0, 1.0, 0.0]);
    near(constant([0_u8, 255], [0.0_f32, 0.5]).unwrap(), [0.0, 1.0, 0.0, 0.5]);
}

#[test]
fn values_of_another_range_are_an_error_that_names_it() {
    let name = "image/train_data.npy";
    for low in [-0.5_f32, -3.0, 256.5, 3.0, 1.25, f32::NAN, f32::INFINITY] {
        let found = low.to_string();
        let error = constant([51_u8; 2], [low; 2]);
        assert_mismatch(error, &[name, "0 to 1, or of 0 to 255", &found, "scales"]);
    }
    let error = constant([51_u8; 2], [1_000_i16; 2]);
    assert_mismatch(error, &[name, "0 to 255", "1000 to 1000"]);
    // One split was scaled and the other was not.
    let error = constant([51_u8; 2], [0.5_f32, 128.0]);
    assert_mismatch(error, &["image/test_data.npy", "0 to 1, as in", "128", "every split"]);
    let error = constant([128.0_f32, 0.5], [51_u8; 2]);
    assert_mismatch(error, &["audio/test_data.npy", "0 to 255, as in", "0.5", "every split"]);
}

#[test]
fn labels_of_any_integer_type_are_read() {
    let set = read(|folder| {
        write(folder, "train_labels", &Array1::from_vec(vec![9_u8, 0, 3, 3, 1]));
        write(folder, "test_labels", &Array1::from_vec(vec![1_i16, 2, 3, 4]));
    });
    let set = set.unwrap();
    assert_eq!(Vec::<i64>::try_from(set.train.targets()).unwrap(), [9, 0, 3, 3, 1]);
    assert_eq!(Vec::<i64>::try_from(set.test.targets()).unwrap(), [1, 2, 3, 4]);
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    for name in ["audio/train_data.npy", "image/test_data.npy", "train_labels.npy"] {
        let error = assert_error(read(|f| fs::remove_file(f.join(name)).unwrap()), &[name, "open"]);
        assert!(matches!(error, Error::Io { .. }));
    }
    // A validation split without one of its files.
    let partial = read(|folder| {
        write_split(folder, "val", 2);
        fs::remove_file(folder.join("audio/val_data.npy")).unwrap();
    });
    assert_error(partial, &["audio/val_data.npy"]);
    assert_error(AvMnist::from_folder("no/such/folder"), &["no/such/folder"]);
}

#[test]
fn a_truncated_or_invalid_file_is_an_error_with_its_name() {
    let truncated = |name: &'static str, keep: fn(usize) -> usize| {
        read(move |folder| {
            let bytes = fs::read(folder.join(name)).unwrap();
            fs::write(folder.join(name), &bytes[..keep(bytes.len())]).unwrap();
        })
    };
    let keep: [fn(usize) -> usize; 3] = [|n| n - 1, |_| 20, |_| 0];
    for keep in keep {
        for name in ["audio/train_data.npy", "train_labels.npy"] {
            let error = assert_error(truncated(name, keep), &[name]);
            assert!(matches!(error, Error::Data { .. }), "{error}");
        }
    }
    let text = read(|folder| fs::write(folder.join("image/test_data.npy"), "not numpy").unwrap());
    assert!(matches!(assert_error(text, &["image/test_data.npy"]), Error::Data { .. }));
}

#[test]
fn images_and_labels_of_a_wrong_shape_range_or_dtype_are_errors() {
    let images = |n, pixels| {
        read(move |folder| {
            write(folder, "image/train_data", &Array2::<u8>::zeros((n, pixels)));
        })
    };
    let name = "image/train_data.npy";
    let error = assert_mismatch(images(5, 783), &[name, "[5, H, W]", "[5, 784]", "[5, 783]"]);
    assert!(matches!(error, Error::Data { .. }));
    assert_mismatch(images(4, 784), &[name, "one row per label", "[4, 784]", "belong together"]);
    let labels = |labels: Vec<i64>| {
        read(move |folder| {
            write(folder, "train_labels", &Array1::from_vec(labels));
        })
    };
    assert_mismatch(labels(vec![0, 1, 10, 2, 3]), &["train_labels.npy", "0..=9", "0..=10"]);
    assert_mismatch(labels(vec![0, 1, -1, 2, 3]), &["train_labels.npy", "0..=9", "-1..=3"]);
    assert_mismatch(labels(vec![]), &["train_labels.npy", "at least one"]);
    let square = read(|folder| write(folder, "train_labels", &Array2::<i64>::zeros((5, 1))));
    assert_mismatch(square, &["train_labels.npy", "[N]", "[5, 1]"]);
    let floats = read(|folder| write(folder, "train_labels", &Array1::<f32>::zeros(5)));
    assert_mismatch(floats, &["train_labels.npy", "integers", "float32", "np.int64"]);
    let from_one = labels(vec![1, 2, 10, 4, 5]);
    assert_mismatch(from_one, &["train_labels.npy", "1..=10", "subtract 1"]);
    let empty = read(|folder| write(folder, "image/train_data", &Array3::<u8>::zeros((5, 0, 3))));
    assert_mismatch(empty, &[name, "[5, H, W]", "[5, 0, 3]"]);
    let colour = ndarray::Array4::<u8>::zeros((5, 3, 3, 3));
    let colour = read(|folder| write(folder, "image/train_data", &colour));
    assert_mismatch(colour, &[name, "[5, 3, 3, 3]", "one channel"]);
    let texts = read(|folder| {
        let header = "{'descr': '<U1', 'fortran_order': False, 'shape': (5,), }\n";
        let start = [b"\x93NUMPY\x01\0", &[header.len() as u8, 0][..]].concat();
        let file = [&start, header.as_bytes(), &[0; 20]].concat();
        fs::write(folder.join(name), file).unwrap();
    });
    assert_mismatch(texts, &[name, "texts", "numbers"]);
}
