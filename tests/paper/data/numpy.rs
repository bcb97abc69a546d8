//! NumPy arrays of every element type and form.

use std::{fs, path::Path};

use g2d::{
    Error, Modality, Result,
    paper::data::{FeatureShape, Features},
};
use ndarray::{Array1, Array2, ShapeBuilder, array};
use ndarray_npy::{NpzWriter, write_npy};
use tch::Kind;

use crate::support::{TempDataSet, assert_elements, assert_error, assert_mismatch};

/// A `.npy` file of version 1.0 with this header and data.
fn npy(element: &str, shape: &str, fortran: bool, data: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': {element}, 'fortran_order': {fortran}, 'shape': {shape}, }}");
    let header = format!("{header:117}\n");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Features [2, 2] and labels [2] in both splits after `change`.
fn read(change: impl Fn(&Path)) -> Result<Features> {
    let set = TempDataSet::new();
    for split in ["train", "test"] {
        let folder = set.path().join(split);
        fs::create_dir(&folder).unwrap();
        write_npy(folder.join("text.npy"), &array![[1.0_f32, 2.0], [3.0, 4.5]]).unwrap();
        write_npy(folder.join("labels.npy"), &array![0_i64, 1]).unwrap();
        change(&folder);
    }
    Features::read(set.path(), &Modality::list(["text"]))
}

fn with_text(file: &[u8]) -> Result<Features> {
    read(|folder| fs::write(folder.join("text.npy"), file).unwrap())
}

fn with_labels(file: &[u8]) -> Result<Features> {
    read(|folder| fs::write(folder.join("labels.npy"), file).unwrap())
}

#[test]
fn features_of_every_float_type_and_order_are_the_same() {
    let values = [1.0_f64, 2.0, 3.0, 4.5];
    let columns = [1.0_f64, 3.0, 2.0, 4.5];
    let half = |x: &f64| half_bits(*x).to_le_bytes();
    let half_be = |x: &f64| half_bits(*x).to_be_bytes();
    let bytes = |values: &[f64], of: &dyn Fn(&f64) -> Vec<u8>| -> Vec<u8> {
        values.iter().flat_map(of).collect()
    };
    for (element, fortran, data) in [
        ("'<f2'", false, bytes(&values, &|x| half(x).into())),
        ("'>f2'", false, bytes(&values, &|x| half_be(x).into())),
        ("'<f2'", true, bytes(&columns, &|x| half(x).into())),
        ("'>f4'", false, bytes(&values, &|x| (*x as f32).to_be_bytes().into())),
        ("'<f8'", true, bytes(&columns, &|x| x.to_le_bytes().into())),
        ("'>f8'", false, bytes(&values, &|x| x.to_be_bytes().into())),
    ] {
        let features = with_text(&npy(element, "(2, 2)", fortran, &data));
        let features = features.unwrap_or_else(|e| panic!("{element}: {e}"));
        assert_eq!(features.shapes, [FeatureShape::Vector(2)]);
        assert_eq!(features.train.input(0).kind(), Kind::Float);
        assert_elements(features.train.input(0), &values);
    }
    let fortran = Array2::from_shape_vec((2, 2).f(), columns.to_vec()).unwrap();
    let features = read(|folder| write_npy(folder.join("text.npy"), &fortran).unwrap()).unwrap();
    assert_elements(features.train.input(0), &values);
}

/// The bits of a float of 16 bits: of a number between 1 and 8 with few digits.
fn half_bits(x: f64) -> u16 {
    let exponent = x.log2().floor();
    let fraction = (x / exponent.exp2() - 1.0) * 1024.0;
    ((exponent as u16 + 15) << 10) | fraction as u16
}

#[test]
fn labels_of_every_integer_type_are_classes() {
    for (element, data) in [
        ("'|b1'", &[0_u8, 1][..]),
        ("'|i1'", &[0, 1]),
        ("'|u1'", &[0, 1]),
        ("'<i2'", &[0, 0, 1, 0]),
        ("'>i2'", &[0, 0, 0, 1]),
        ("'<u2'", &[0, 0, 1, 0]),
        ("'<i4'", &[0, 0, 0, 0, 1, 0, 0, 0]),
        ("'<u4'", &[0, 0, 0, 0, 1, 0, 0, 0]),
        ("'<i8'", &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("'<u8'", &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("'>u8'", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ] {
        let features = with_labels(&npy(element, "(2,)", false, data));
        let features = features.unwrap_or_else(|e| panic!("{element}: {e}"));
        assert_eq!(Vec::<i64>::try_from(features.train.targets()).unwrap(), [0, 1], "{element}");
    }
    let large = npy("'<u8'", "(2,)", false, &[0xff; 16]);
    assert_mismatch(
        with_labels(&large),
        &["labels", "9223372036854775807", "18446744073709551615"],
    );
}

#[test]
fn half_floats_are_targets_too() {
    let halves = [half_bits(1.5).to_le_bytes(), half_bits(3.0).to_le_bytes()].concat();
    let features = with_labels(&npy("'<f2'", "(2,)", false, &halves)).unwrap();
    assert_elements(features.train.targets(), &[1.5, 3.0]);
}

#[test]
fn another_element_type_is_named_with_what_to_do() {
    for (element, name, hint) in [
        ("'<U3'", "texts", "numbers"),
        ("'|O'", "Python objects", "array of numbers"),
        ("'<c8'", "complex64", "real and imaginary"),
        ("'<M8[ns]'", "times", "astype"),
        ("'<i8'", "int64", "astype"),
    ] {
        let error = assert_mismatch(
            with_text(&npy(element, "(2, 2)", false, &[0; 96])),
            &["text.npy", "uint8 or floats", name, hint],
        );
        assert!(!error.to_string().contains("complete"), "{error}");
    }
    let text = with_labels(&npy("'<U3'", "(2,)", false, &[0; 24]));
    assert_mismatch(text, &["labels.npy", "integers", "texts", "classes from 0"]);
}

#[test]
fn labels_of_another_shape_or_without_a_value_get_the_hint_for_their_cause() {
    let labels = |labels: &dyn Fn(&Path)| read(|folder| labels(&folder.join("labels.npy")));
    let column = labels(&|path| write_npy(path, &Array2::<i64>::zeros((2, 1))).unwrap());
    assert_mismatch(column, &["[N]", "[2, 1]", "reshape(-1)"]);
    let one_hot = labels(&|path| write_npy(path, &Array2::<i64>::eye(2)).unwrap());
    assert_mismatch(one_hot, &["[N]", "[2, 2]", "argmax(1)"]);
    let missing = labels(&|path| write_npy(path, &array![0.5_f32, f32::NAN]).unwrap());
    assert_mismatch(missing, &["finite", "NaN in row 1", "omit"]);
}

#[test]
fn a_mask_of_other_values_than_0_and_1_is_an_error() {
    let mask = |values: ndarray::Array2<f32>| {
        read(|folder| {
            write_npy(folder.join("text.npy"), &ndarray::Array3::<f32>::ones((2, 2, 1))).unwrap();
            write_npy(folder.join("text_mask.npy"), &values).unwrap();
        })
    };
    assert!(mask(array![[1.0, 0.0], [1.0, 1.0]]).is_ok());
    // The additive mask of attention layers.
    let additive = mask(array![[0.0, -10_000.0], [0.0, 0.0]]);
    assert_mismatch(additive, &["text_mask", "zeros and ones", "-10000", "1 where"]);
}

#[test]
fn a_file_that_is_cut_too_long_or_of_another_format_is_damaged() {
    let data: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    let whole = npy("'<f4'", "(2, 2)", false, &data);
    assert!(with_text(&whole).is_ok());
    for keep in [whole.len() - 1, whole.len() * 6 / 10, 20, 7] {
        let error = assert_error(with_text(&whole[..keep]), &["text.npy", "NumPy file"]);
        assert!(matches!(error, Error::Data { .. }), "{error}");
    }
    assert_error(with_text(&[&whole[..], &[0]].concat()), &["text.npy", "complete NumPy file"]);
    assert_error(with_text(b"\x80\x04\x95pickle"), &["a Python pickle", "not supported"]);
    assert_error(with_text(b"version https://git-lfs"), &["git lfs pull"]);
    assert_error(with_text(&[]), &["an empty file"]);
}

/// Writes archives of both splits, changes their bytes, and reads them.
fn archives(compressed: bool, change: impl Fn(&mut Vec<u8>)) -> Result<Features> {
    let set = TempDataSet::new();
    for split in ["train", "test"] {
        let mut file = std::io::Cursor::new(Vec::new());
        let mut archive = match compressed {
            true => NpzWriter::new_compressed(&mut file),
            false => NpzWriter::new(&mut file),
        };
        archive.add_array("text", &Array2::<f32>::ones((2, 2))).unwrap();
        archive.add_array("labels", &Array1::<i64>::zeros(2)).unwrap();
        archive.finish().unwrap();
        let mut bytes = file.into_inner();
        change(&mut bytes);
        set.write(&format!("{split}.npz"), bytes);
    }
    Features::read(set.path(), &Modality::list(["text"]))
}

#[test]
fn archives_are_read_compressed_and_not_and_their_checksums_are_checked() {
    assert!(archives(false, |_| ()).is_ok());
    assert!(archives(true, |_| ()).is_ok());
    // A one as a float of 32 bits.
    let changed = archives(false, |bytes| {
        let one = bytes.windows(4).position(|b| b == 1.0_f32.to_le_bytes()).unwrap();
        bytes[one] ^= 1;
    });
    let error = assert_error(changed, &["train.npz", "text", "complete NumPy file"]);
    assert!(matches!(error, Error::Data { .. }), "{error}");
    assert_error(archives(true, |b| b.truncate(b.len() / 2)), &["complete NumPy"]);
    let plain = archives(false, |b| *b = npy("'<f4'", "(1,)", false, &[0; 4]));
    assert_error(plain, &["train.npz", "NumPy archive", "a .npy array"]);
}

#[test]
fn an_array_that_is_not_in_an_archive_is_named_with_those_that_are() {
    let set = TempDataSet::new();
    let mut archive = NpzWriter::new(fs::File::create(set.path().join("train.npz")).unwrap());
    archive.add_array("labels", &array![0_i64, 1]).unwrap();
    archive.add_array("txt", &Array2::<f32>::ones((2, 2))).unwrap();
    archive.finish().unwrap();
    let missing = Features::read(set.path(), &Modality::list(["text"]));
    assert_mismatch(missing, &["train.npz", "an array \"text\"", "\"txt\"", "np.savez"]);
}

#[test]
fn files_that_macos_adds_are_no_modalities() {
    let set = TempDataSet::new();
    set.write("train/text.npy", npy("'<f4'", "(1, 1)", false, &[0; 4]));
    set.write("train/._text.npy", "AppleDouble");
    set.write("train/labels.npy", npy("'|i1'", "(1,)", false, &[0]));
    set.write("train/._labels.npy", "AppleDouble");
    assert_eq!(Features::modalities(set.path()).unwrap(), Modality::list(["text"]));
}
