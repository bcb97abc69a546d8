//! Standardisation by the training data.

use g2d::paper::data::{
    ImageTableRows, ImageTableSplits, Standardisation, Standardiser, TargetScale, TargetScaler,
};
use tch::{Kind, Tensor};

use crate::support::{assert_elements, assert_error, assert_mismatch, elements};

const NAN: f64 = f64::NAN;

#[test]
fn columns_are_scaled_by_the_mean_and_standard_deviation_of_the_training_data() {
    // np.nanmean([[1, 10], [3, nan], [5, 40]], axis=0) = 3, 25; np.nanstd(…) = 1.632993161855452, 15
    let train = Tensor::from_slice(&[1.0, 10.0, 3.0, NAN, 5.0, 40.0]).view([3, 2]);
    let scale = Standardiser::fit(&["a", "b"], &train).unwrap();
    let [a, b] = scale.columns() else { panic!("two columns") };
    assert_eq!((a.column.as_str(), a.mean, b.mean, b.std), ("a", 3.0, 25.0, 15.0));
    assert!((a.std - 1.632_993_161_855_452).abs() < 1e-12);
    let root = 1.5_f64.sqrt();
    assert_elements(&scale.apply(&train).unwrap(), &[-root, -1.0, 0.0, 0.0, root, 1.0]);
}

#[test]
fn missing_and_infinite_values_become_the_mean() {
    let train = Tensor::from_slice(&[0.0, 2.0, f64::INFINITY]).view([3, 1]);
    let scale = Standardiser::fit(&["a"], &train).unwrap();
    assert_eq!(scale.columns()[0].mean, 1.0);
    let other = Tensor::from_slice(&[NAN, 3.0, f64::NEG_INFINITY]).view([3, 1]);
    assert_elements(&scale.apply(&other).unwrap(), &[0.0, 2.0, 0.0]);
    let empty = Tensor::from_slice(&[NAN, NAN]).view([2, 1]);
    assert_error(Standardiser::fit(&["rain"], &empty), &["\"rain\""]);
}

#[test]
fn a_constant_column_becomes_zero() {
    let train = Tensor::from_slice(&[0.1, 0.1, 0.1]).view([3, 1]);
    let scale = Standardiser::fit(&["a"], &train).unwrap();
    assert_elements(&scale.apply(&train).unwrap(), &[0.0, 0.0, 0.0]);
    assert_eq!(scale.columns()[0].std, 1.0);
}

/// Rows with the column 0, 1, 2, 3 and the targets 1, 2, 3, 4, each plus `shift`.
fn rows(shift: f64) -> ImageTableRows {
    let count = Tensor::arange(4, (Kind::Double, tch::Device::Cpu)) + shift;
    let image = Tensor::zeros([4, 3, 4, 4], (Kind::Uint8, tch::Device::Cpu));
    let table = ("table".into(), vec!["x".to_owned()], count.view([4, 1]));
    ImageTableRows::from_tensors(vec![("image".into(), image)], table, count + 1.0).unwrap()
}

#[test]
fn validation_and_test_data_do_not_change_the_scales() {
    let splits = |shift| ImageTableSplits { train: rows(0.0), val: rows(shift), test: rows(shift) };
    let (_, near) = splits(0.0).standardised(TargetScale::Standard).unwrap();
    let ([train, _, test], far) = splits(100.0).standardised(TargetScale::Standard).unwrap();
    assert_eq!(near, far, "the scales depend on training data alone");
    let std = 1.25_f64.sqrt();
    assert!(elements(train.input(1)).iter().sum::<f64>().abs() < 1e-6);
    let expected: Vec<f64> = (0..4).map(|i| (f64::from(i) + 100.0 - 1.5) / std).collect();
    let found = elements(test.input(1));
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    assert_elements(&far.target.invert(&train.targets().shallow_clone()), &[1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn inverted_targets_have_their_original_unit() {
    let prices = Tensor::from_slice(&[100_000.0, 250_000.0, 1_000_000.0]);
    for scale in [TargetScale::Standard, TargetScale::Log] {
        let scaler = TargetScaler::fit(&prices, scale).unwrap();
        let scaled = scaler.apply(&prices).unwrap();
        assert!(elements(&scaled).iter().sum::<f64>().abs() < 1e-6);
        let back = elements(&scaler.invert(&scaled));
        assert!(back.iter().zip(elements(&prices)).all(|(a, b)| (a / b - 1.0).abs() < 1e-6));
    }
    // (np.log(250000) - np.log(p).mean()) / np.log(p).std() with p the three prices
    let log = TargetScaler::fit(&prices, TargetScale::Log).unwrap();
    let middle = log.apply(&prices).unwrap().double_value(&[1]);
    assert!((middle - -0.165_517_848_587_183_57).abs() < 1e-6, "{middle}");
}

#[test]
fn targets_that_cannot_be_scaled_are_errors() {
    let fit = |values: &[f64], scale| TargetScaler::fit(&Tensor::from_slice(values), scale);
    assert_error(fit(&[1.0, 0.0], TargetScale::Log), &["above 0"]);
    assert_error(fit(&[1.0, NAN], TargetScale::Standard), &["target"]);
    assert_error(fit(&[2.0, 2.0], TargetScale::Standard), &["vary"]);
}

#[test]
fn a_standardisation_is_saved_and_loaded_and_an_invalid_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("standardisation.json");
    let saved = rows(0.3).standardisation(TargetScale::Log).unwrap();
    saved.save(&path).unwrap();
    let loaded = Standardisation::load(&path).unwrap();
    let (found, own) = (&loaded.table.columns()[0], &saved.table.columns()[0]);
    assert_eq!(found.column, own.column);
    assert!((found.mean - own.mean).abs() < 1e-14 && (found.std - own.std).abs() < 1e-14);
    let prices = Tensor::from_slice(&[0.5, 2.0]);
    assert_elements(
        &loaded.target.apply(&prices).unwrap(),
        &elements(&saved.target.apply(&prices).unwrap()),
    );
    std::fs::write(&path, "{\"table\": []}").unwrap();
    assert_error(Standardisation::load(&path), &["standardisation.json"]);
    assert_error(Standardisation::load(folder.path().join("none.json")), &["none.json"]);
}

#[test]
fn an_empty_table_is_an_error() {
    let empty = |shape: [i64; 2]| Tensor::zeros(shape, (Kind::Double, tch::Device::Cpu));
    assert_error(Standardiser::fit(&["a"], &empty([0, 1])), &["[0, 1]", "at least 1 row"]);
    assert_error(Standardiser::fit::<&str>(&[], &empty([3, 0])), &["[3, 0]", "1 column"]);
    let image = Tensor::zeros([2, 3, 0, 4], (Kind::Uint8, tch::Device::Cpu));
    let table = ("table".into(), vec!["x".to_owned()], empty([2, 1]));
    let targets = Tensor::from_slice(&[1.0, 2.0]);
    let rows = ImageTableRows::from_tensors(vec![("image".into(), image)], table, targets);
    assert_error(rows, &["none of them empty", "[2, 3, 0, 4]"]);
}

/// Four images of these values.
fn with_images(images: Tensor) -> g2d::Result<ImageTableRows> {
    let count = Tensor::arange(4, (Kind::Double, tch::Device::Cpu));
    let table = ("table".into(), vec!["x".to_owned()], count.view([4, 1]));
    ImageTableRows::from_tensors(vec![("photo".into(), images)], table, count)
}

#[test]
fn images_are_bytes_or_floats_of_0_to_1() {
    let images = |value: f64, kind| Tensor::full([4, 3, 2, 2], value, (kind, tch::Device::Cpu));
    for kind in [Kind::Half, Kind::Float, Kind::Double] {
        let rows = with_images(images(0.5, kind)).unwrap();
        let by = rows.standardisation(TargetScale::Standard).unwrap();
        let set = rows.standardised(&by).unwrap();
        assert_eq!(
            (set.input(0).kind(), set.input(0).double_value(&[0, 0, 0, 0])),
            (Kind::Float, 0.5)
        );
    }
    assert!(with_images(images(200.0, Kind::Uint8)).is_ok());
    let bytes_as_floats = with_images(images(200.0, Kind::Float));
    assert_mismatch(bytes_as_floats, &["photo", "0 to 1", "200", "divide floats of 0 to 255"]);
    let standardised = with_images(images(-1.5, Kind::Float));
    assert_mismatch(standardised, &["photo", "0 to 1", "-1.5", "before standardisation"]);
    assert_mismatch(with_images(images(f64::NAN, Kind::Float)), &["photo", "0 to 1", "NaN"]);
    let integers = with_images(images(200.0, Kind::Int64));
    assert_mismatch(integers, &["photo", "Uint8", "Int64", "to_kind"]);
}
