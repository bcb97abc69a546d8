//! Features that someone else has extracted.

use std::{fs, path::Path};

use g2d::paper::data::{FeatureShape, Features, Sequences};
use g2d::{Modality, Result};
use ndarray::{Array1, Array2, Array3, array};
use ndarray_npy::{NpzWriter, WritableElement, write_npy};
use tch::{Kind, Tensor};

use crate::support::{assert_elements, error_message, elements};

fn write<T: WritableElement, D: ndarray::Dimension>(
    split: &Path,
    name: &str,
    values: &ndarray::Array<T, D>,
) {
    fs::create_dir_all(split).unwrap();
    write_npy(split.join(format!("{name}.npy")), values).unwrap();
}

/// Three samples: `text` [3, 2], `video` [3, 2, 1] of the lengths 2, 1, 0; 9 stands in the padding.
fn video() -> Array3<f32> {
    Array3::from_shape_vec((3, 2, 1), vec![1.0, 3.0, 5.0, 9.0, 9.0, 9.0]).unwrap()
}

fn split(folder: &Path) {
    write(folder, "labels", &array![0_i64, 2, 1]);
    write(folder, "text", &array![[1.0_f32, 10.0], [2.0, f32::NAN], [3.0, 30.0]]);
    write(folder, "video", &video());
    write(folder, "video_lengths", &array![2_i64, 1, 0]);
}

/// A good folder, spoilt by `spoil`; what reading it gives.
fn read(spoil: impl FnOnce(&Path)) -> Result<Features> {
    let folder = tempfile::tempdir().unwrap();
    split(&folder.path().join("train"));
    split(&folder.path().join("test"));
    spoil(folder.path());
    Features::read(folder.path(), &Features::modalities(folder.path())?)
}

#[test]
fn vectors_and_sequences_are_told_by_their_shape() {
    let features = read(|_| ()).unwrap();
    assert_eq!(features.train.modalities(), Modality::list(["text", "video"]));
    assert_eq!(features.shapes, [FeatureShape::Vector(2), FeatureShape::Sequence(1)]);
    assert!(features.val.is_none());
    assert_eq!(features.train.targets().kind(), Kind::Int64);
    // Value and mask of both steps of each sample.
    let packed = [1.0, 1.0, 3.0, 1.0, 5.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_elements(features.train.input(1), &packed);
    let (values, mask) = Sequences::unpack(features.train.input(1)).unwrap();
    assert_eq!((values.size(), mask.size()), (vec![3, 2, 1], vec![3, 2]));
    let ones: Vec<i64> =
        Vec::try_from(mask.sum_dim_intlist([1_i64].as_slice(), false, None)).unwrap();
    assert_eq!(ones, [2, 1, 0]);
}

#[test]
fn an_archive_a_split_says_the_same_as_a_folder() {
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
fn a_sequence_without_lengths_is_there_from_end_to_end() {
    let spoil = |root: &Path| {
        for split in ["train", "test"] {
            fs::remove_file(root.join(split).join("video_lengths.npy")).unwrap();
        }
    };
    let features = read(spoil).unwrap();
    let (_, mask) = Sequences::unpack(features.train.input(1)).unwrap();
    assert!(elements(&mask).iter().all(|&there| there == 1.0));
}

#[test]
fn the_training_split_sets_the_scale_and_padding_stays_zero() {
    let raw = read(|root| {
        write(&root.join("test"), "text", &array![[102.0_f32, 20.0], [0.0, 0.0], [0.0, 0.0]]);
    });
    let (features, scales) = raw.unwrap().standardised().unwrap();
    let text = scales[0].columns();
    assert_eq!((text[0].mean, text[1].mean, text[1].std), (2.0, 20.0, 10.0));
    // Video's steps that are there: 1, 3, 5.
    let std = (8.0_f64 / 3.0).sqrt();
    assert_eq!(scales[1].columns()[0].mean, 3.0);
    assert!((scales[1].columns()[0].std - std).abs() < 1e-12);
    let (a, b) = (-2.0 / std, 2.0 / std);
    let packed = [a, 1.0, 0.0, 1.0, b, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_elements(features.train.input(1), &packed);
    assert_eq!(features.train.input(0).double_value(&[1, 1]), 0.0, "NaN is the mean");
    assert!(
        (features.test.input(0).double_value(&[0, 0]) - 100.0 / (2.0_f64 / 3.0).sqrt()).abs()
            < 1e-3
    );
}

#[test]
fn float_labels_are_values() {
    let spoil = |root: &Path| {
        for split in ["train", "test"] {
            write(&root.join(split), "labels", &array![0.5_f32, -1.5, 3.0]);
        }
    };
    let features = read(spoil).unwrap();
    assert_eq!(features.train.targets().kind(), Kind::Float);
    assert_elements(features.train.targets(), &[0.5, -1.5, 3.0]);
}

#[test]
fn what_does_not_fit_is_named() {
    let spoil = |name: &'static str, part: &str, write: &dyn Fn(&Path)| {
        let text = error_message(read(|root| write(&root.join(name))));
        assert!(text.contains(part), "{part:?} in {text}");
    };
    spoil("train", "text.npy", &|s| write(s, "text", &Array2::<f32>::zeros((2, 2))));
    spoil("train", "video.npy", &|s| write(s, "video_lengths", &array![2_i64, 3, 0]));
    spoil("train", "video.npy", &|s| write(s, "video_lengths", &array![2_i64, 1]));
    spoil("train", "labels", &|s| write(s, "labels", &array![0_i64, -1, 0]));
    spoil("train", "labels", &|s| write(s, "labels", &Array1::<i64>::zeros(0)));
    spoil("test", "as in train", &|s| write(s, "text", &Array2::<f32>::zeros((3, 5))));
    spoil("test", "as in train", &|s| write(s, "labels", &array![0.5_f32, 1.0, 2.0]));
    spoil("test", "text.npy", &|s| fs::remove_file(s.join("text.npy")).unwrap());
    spoil("train", "text.npy", &|s| {
        let whole = fs::read(s.join("text.npy")).unwrap();
        fs::write(s.join("text.npy"), &whole[..whole.len() - 5]).unwrap();
    });
    spoil("train", "a gap", &|s| {
        fs::remove_file(s.join("video_lengths.npy")).unwrap();
        write(s, "video_mask", &array![[0_u8, 1], [1, 0], [0, 0]]);
    });
    spoil("train", "with lengths", &|s| write(s, "text_lengths", &array![1_i64, 1, 1]));
}

#[test]
fn packing_refuses_lengths_beyond_the_end() {
    let steps = Tensor::zeros([2, 3, 4], (Kind::Float, tch::Device::Cpu));
    assert_error(Sequences::pack(&steps, &Tensor::from_slice(&[3_i64, 4])), &["0..=3"]);
    assert_error(Sequences::pack(&steps, &Tensor::from_slice(&[3_i64])), &["[N]"]);
    assert_error(Sequences::unpack(&steps.select(2, 0)), &["pack"]);
}
