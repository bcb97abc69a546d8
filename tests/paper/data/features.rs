//! Extracted features in NumPy files.

use std::{fs, path::Path};

use g2d::paper::data::{FeatureShape, Features, Sequences};
use g2d::{Modality, Result};
use ndarray::{Array1, Array2, Array3, array};
use ndarray_npy::{NpzWriter, WritableElement, write_npy};
use tch::{Kind, Tensor};

use crate::support::{assert_elements, assert_error, elements};

fn write<T: WritableElement, D: ndarray::Dimension>(
    split: &Path,
    name: &str,
    values: &ndarray::Array<T, D>,
) {
    fs::create_dir_all(split).unwrap();
    write_npy(split.join(format!("{name}.npy")), values).unwrap();
}

/// `video` [3, 2, 1] of three samples with the lengths 2, 1, 0 and 9 as padding.
fn video() -> Array3<f32> {
    Array3::from_shape_vec((3, 2, 1), vec![1.0, 3.0, 5.0, 9.0, 9.0, 9.0]).unwrap()
}

/// Writes a split of `text` [3, 2] and `video`.
fn split(folder: &Path) {
    write(folder, "labels", &array![0_i64, 2, 1]);
    write(folder, "text", &array![[1.0_f32, 10.0], [2.0, f32::NAN], [3.0, 30.0]]);
    write(folder, "video", &video());
    write(folder, "video_lengths", &array![2_i64, 1, 0]);
}

/// Reads a valid folder after `change`.
fn read(change: impl FnOnce(&Path)) -> Result<Features> {
    let folder = tempfile::tempdir().unwrap();
    split(&folder.path().join("train"));
    split(&folder.path().join("test"));
    change(folder.path());
    Features::read(folder.path(), &Features::modalities(folder.path())?)
}

#[test]
fn the_shape_of_an_array_distinguishes_vectors_and_sequences() {
    let features = read(|_| ()).unwrap();
    assert_eq!(features.train.modalities(), Modality::list(["text", "video"]));
    assert_eq!(features.shapes, [FeatureShape::Vector(2), FeatureShape::Sequence(1)]);
    assert!(features.val.is_none());
    assert_eq!(features.train.targets().kind(), Kind::Int64);
    // Value and mask of the two steps of each sample.
    let packed = [1.0, 1.0, 3.0, 1.0, 5.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_elements(features.train.input(1), &packed);
    let (values, mask) = Sequences::unpack(features.train.input(1)).unwrap();
    assert_eq!((values.size(), mask.size()), (vec![3, 2, 1], vec![3, 2]));
    let ones: Vec<i64> =
        Vec::try_from(mask.sum_dim_intlist([1_i64].as_slice(), false, None)).unwrap();
    assert_eq!(ones, [2, 1, 0]);
}

#[test]
fn an_archive_per_split_gives_the_same_features_as_folders() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["train", "val", "test"] {
        let file = fs::File::create(folder.path().join(format!("{name}.npz"))).unwrap();
        let mut archive = NpzWriter::new(file);
        archive.add_array("labels", &array![0_i64, 2, 1]).unwrap();
        archive.add_array("video", &video()).unwrap();
        archive.add_array("video_mask", &array![[1_u8, 1], [1, 0], [0, 0]]).unwrap();
        archive.finish().unwrap();
    }
    let modalities = Features::modalities(folder.path()).unwrap();
    assert_eq!(modalities, Modality::list(["video"]));
    let features = Features::read(folder.path(), &modalities).unwrap();
    let expected = read(|_| ()).unwrap();
    assert_eq!(features.train.input(0), expected.train.input(1));
    assert_eq!(features.val.unwrap().len(), 3);
}

#[test]
fn a_sequence_without_lengths_has_no_padding() {
    let remove_lengths = |root: &Path| {
        for split in ["train", "test"] {
            fs::remove_file(root.join(split).join("video_lengths.npy")).unwrap();
        }
    };
    let features = read(remove_lengths).unwrap();
    let (_, mask) = Sequences::unpack(features.train.input(1)).unwrap();
    assert!(elements(&mask).iter().all(|&mask| mask == 1.0));
}

#[test]
fn standardisation_uses_the_training_split_and_leaves_padding_zero() {
    let raw = read(|root| {
        write(&root.join("test"), "text", &array![[102.0_f32, 20.0], [0.0, 0.0], [0.0, 0.0]]);
    });
    let (features, scales) = raw.unwrap().standardised().unwrap();
    let text = scales[0].columns();
    assert_eq!((text[0].mean, text[1].mean, text[1].std), (2.0, 20.0, 10.0));
    // The steps of video without padding: 1, 3, 5.
    let std = (8.0_f64 / 3.0).sqrt();
    assert_eq!(scales[1].columns()[0].mean, 3.0);
    assert!((scales[1].columns()[0].std - std).abs() < 1e-12);
    let (a, b) = (-2.0 / std, 2.0 / std);
    let packed = [a, 1.0, 0.0, 1.0, b, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_elements(features.train.input(1), &packed);
    assert_eq!(features.train.input(0).double_value(&[1, 1]), 0.0, "NaN becomes the mean");
    assert!(
        (features.test.input(0).double_value(&[0, 0]) - 100.0 / (2.0_f64 / 3.0).sqrt()).abs()
            < 1e-3
    );
}

#[test]
fn float_labels_are_regression_targets() {
    let write_floats = |root: &Path| {
        for split in ["train", "test"] {
            write(&root.join(split), "labels", &array![0.5_f32, -1.5, 3.0]);
        }
    };
    let features = read(write_floats).unwrap();
    assert_eq!(features.train.targets().kind(), Kind::Float);
    assert_elements(features.train.targets(), &[0.5, -1.5, 3.0]);
}

#[test]
fn invalid_files_of_a_split_are_errors_with_their_name() {
    let assert_invalid = |split: &'static str, word: &str, write: &dyn Fn(&Path)| {
        assert_error(read(|root| write(&root.join(split))), &[word]);
    };
    assert_invalid("train", "text.npy", &|s| write(s, "text", &Array2::<f32>::zeros((2, 2))));
    assert_invalid("train", "video.npy", &|s| write(s, "video_lengths", &array![2_i64, 3, 0]));
    assert_invalid("train", "video.npy", &|s| write(s, "video_lengths", &array![2_i64, 1]));
    assert_invalid("train", "labels", &|s| write(s, "labels", &array![0_i64, -1, 0]));
    assert_invalid("train", "labels", &|s| write(s, "labels", &Array1::<i64>::zeros(0)));
    assert_invalid("test", "as in train", &|s| write(s, "text", &Array2::<f32>::zeros((3, 5))));
    assert_invalid("test", "as in train", &|s| write(s, "labels", &array![0.5_f32, 1.0, 2.0]));
    assert_invalid("test", "text.npy", &|s| fs::remove_file(s.join("text.npy")).unwrap());
    assert_invalid("train", "text.npy", &|s| {
        let whole = fs::read(s.join("text.npy")).unwrap();
        fs::write(s.join("text.npy"), &whole[..whole.len() - 5]).unwrap();
    });
    assert_invalid("train", "a gap", &|s| {
        fs::remove_file(s.join("video_lengths.npy")).unwrap();
        write(s, "video_mask", &array![[0_u8, 1], [1, 0], [0, 0]]);
    });
    assert_invalid("train", "with lengths", &|s| write(s, "text_lengths", &array![1_i64, 1, 1]));
}

#[test]
fn packing_with_invalid_lengths_is_an_error() {
    let steps = Tensor::zeros([2, 3, 4], (Kind::Float, tch::Device::Cpu));
    assert_error(Sequences::pack(&steps, &Tensor::from_slice(&[3_i64, 4])), &["0..=3"]);
    assert_error(Sequences::pack(&steps, &Tensor::from_slice(&[3_i64])), &["[N]"]);
    assert_error(Sequences::unpack(&steps.select(2, 0)), &["pack"]);
}

#[test]
fn a_dimension_of_length_zero_is_an_error_with_the_array() {
    let empty = |shape: (usize, usize, usize)| {
        read(move |root| {
            for split in ["train", "test"] {
                let split = root.join(split);
                write(&split, "empty", &Array3::<f32>::zeros(shape));
                write(&split, "empty_mask", &Array2::<f64>::zeros((shape.0, shape.1)));
            }
        })
    };
    assert_error(empty((3, 0, 2)), &["empty.npy", "[3, 0, 2]", "no values"]);
    assert_error(empty((3, 2, 0)), &["empty.npy", "[3, 2, 0]", "no values"]);
    assert_error(empty((0, 2, 2)), &["empty.npy", "3 rows", "0 rows", "same samples"]);
    let vectors = read(|root| write(&root.join("train"), "text", &Array2::<f32>::zeros((3, 0))));
    assert_error(vectors, &["text.npy", "[3, 0]"]);
    let pack = |shape: &[i64]| {
        let values = Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu));
        Sequences::pack(&values, &Tensor::zeros(&shape[..1], (Kind::Int64, tch::Device::Cpu)))
    };
    for shape in [[0, 2, 3], [2, 0, 3], [2, 3, 0]] {
        assert_error(pack(&shape), &["none of them empty", "without values"]);
    }
}

#[test]
fn a_mask_of_other_values_than_zero_and_one_is_an_error() {
    let features = read(|root| {
        fs::remove_file(root.join("train/video_lengths.npy")).unwrap();
        write(&root.join("train"), "video_mask", &array![[1.0_f32, 0.6], [1.0, 0.0], [0.0, 0.0]]);
    });
    assert_error(features, &["video_mask.npy", "zeros and ones", "0.6"]);
}

#[test]
fn lengths_that_are_not_integers_are_an_error() {
    let steps = Tensor::zeros([2, 3, 4], (Kind::Float, tch::Device::Cpu));
    assert_error(Sequences::pack(&steps, &Tensor::from_slice(&[1.5_f32, 3.0])), &["integer"]);
}

#[test]
fn hidden_files_are_no_modalities() {
    let features = read(|root| {
        for split in ["train", "test"] {
            for name in ["._text.npy", ".DS_Store", "Thumbs.db"] {
                fs::write(root.join(split).join(name), "x").unwrap();
            }
        }
    });
    assert_eq!(features.unwrap().train.modalities(), Modality::list(["text", "video"]));
    // An archive made by macOS.
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("train.npz")).unwrap();
    let mut archive = NpzWriter::new(file);
    archive.add_array("text", &array![[1.0_f32]]).unwrap();
    archive.add_array("__MACOSX/._text", &array![[1.0_f32]]).unwrap();
    archive.finish().unwrap();
    assert_eq!(Features::modalities(folder.path()).unwrap(), Modality::list(["text"]));
}
