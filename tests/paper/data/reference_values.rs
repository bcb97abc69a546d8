//! The values of librosa 0.11 and Pillow for real files, from ../shared/golden/preprocess.json.
//!
//! | value | tolerance | measured difference |
//! |---|---|---|
//! | log-spectrogram at the native rate: values, mean, std | 1e-4 | 1.3e-5 |
//! | after resampling: bins with sound | 1e-4 | 1.6e-5 |
//! | after resampling: mean and std of all bins, with the silent ones above the old Nyquist frequency | 0.02 | 0.018 |
//! | JPEG decoding: mean level of a channel (of 255) | 0.4 | 0.36 |
//! | resized and normalised: mean and std of a channel | 0.008 | 0.0064 |
//! | resized and normalised: single values (0.07 is four levels of 255) | 0.07 | 1.2e-7 |

use g2d::paper::data::{FrameTransform, LogSpectrogram, RgbPicture, Waveform};
use serde_json::Value;

use crate::support::{assert_near, shared_file};

/// The cases of `part`; none without the file.
fn golden(part: &str) -> Vec<Value> {
    let Some(path) = shared_file("golden/preprocess.json") else { return Vec::new() };
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = all[part].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn numbers(value: &Value) -> Vec<f64> {
    match value.as_array() {
        Some(list) => list.iter().map(|v| v.as_f64().unwrap()).collect(),
        None => vec![value.as_f64().unwrap()],
    }
}

fn statistics(values: &[f32]) -> [f32; 2] {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    [mean as f32, variance.sqrt() as f32]
}

/// `n` samples of the repeated and clipped sound.
fn repeated(wave: &Waveform, n: usize) -> Vec<f32> {
    wave.samples().iter().cycle().take(n).map(|x| x.clamp(-1.0, 1.0)).collect()
}

fn column(values: &[f32], columns: usize, at: usize) -> Vec<f32> {
    (0..8).map(|bin| values[bin * columns + at]).collect()
}

#[test]
fn spectrograms_as_for_cremad_agree_with_librosa() {
    let spectrogram = LogSpectrogram::new(512, 353).unwrap();
    for case in golden("cremad_audio") {
        let file = case["file"].as_str().unwrap();
        let Some(path) = shared_file(&format!("data/fsdd/{file}")) else { continue };
        let native = Waveform::read(path).unwrap();
        assert_eq!(u64::from(native.rate()), case["native_rate"].as_u64().unwrap());
        let resampled = native.resampled(22_050).unwrap();
        assert_eq!(resampled.samples().len() as u64, case["samples_at_22050"].as_u64().unwrap());

        for (wave, prefix, bins, whole) in
            [(&native, "native_", 1e-4, 1e-4), (&resampled, "", 1e-4, 0.02)]
        {
            let expected = |key: &str| numbers(&case[format!("{prefix}{key}")]);
            let samples = repeated(wave, 3 * wave.samples().len());
            let shape = spectrogram.shape(samples.len());
            assert_eq!(shape.map(|n| n as f64).to_vec(), expected("shape"));
            let values = spectrogram.compute(&samples);
            let what = format!("{file} {prefix}");
            assert_near(&what, &column(&values, shape[1], 5), &expected("col5"), bins);
            let [mean, std] = statistics(&values);
            assert_near(&what, &[mean, std], &[expected("mean")[0], expected("std")[0]], whole);
            if prefix == "native_" {
                assert_near(&what, &values[40 * shape[1]..][..8], &expected("row40"), bins);
            }
        }
    }
}

#[test]
fn spectrograms_as_for_vggsound_agree_with_librosa() {
    let spectrogram = LogSpectrogram::new(256, 128).unwrap();
    for case in golden("vggsound_audio") {
        let file = case["file"].as_str().unwrap();
        let Some(path) = shared_file(&format!("data/fsdd/{file}")) else { continue };
        let wave = Waveform::read(path).unwrap().resampled(16_000).unwrap();
        let start = case["start_sample"].as_u64().unwrap() as usize;
        let samples = repeated(&wave, 160_000)[start..start + 80_000].to_vec();
        let shape = spectrogram.shape(samples.len());
        assert_eq!(shape.map(|n| n as f64).to_vec(), numbers(&case["shape"]));
        let values = spectrogram.compute(&samples);
        assert_near(file, &column(&values, shape[1], 5), &numbers(&case["col5"]), 1e-4);
        let expected = [&case["mean"], &case["std"]].map(|v| v.as_f64().unwrap());
        assert_near(file, &statistics(&values), &expected, 0.02);
    }
}

#[test]
fn decoded_and_resized_images_agree_with_pillow() {
    for case in golden("image") {
        let file = case["file"].as_str().unwrap();
        let Some(path) = shared_file(&format!("data/houses/images/{file}")) else { continue };
        let picture = RgbPicture::read(path).unwrap();
        let raw = |c: usize| {
            let levels: Vec<f32> =
                picture.pixels().chunks_exact(3).map(|p| f32::from(p[c])).collect();
            statistics(&levels)[0]
        };
        let means = [0, 1, 2].map(raw);
        assert_near(&format!("{file} raw"), &means, &numbers(&case["raw_mean"]), 0.4);

        let [height, width] = ["height", "width"].map(|key| case[key].as_u64().unwrap() as usize);
        let resized = picture.resized(width, height);
        let values = FrameTransform::imagenet(1).normalised(&resized);
        let plane = width * height;
        let planes: Vec<[f32; 2]> = values.chunks_exact(plane).map(statistics).collect();
        for (which, key) in ["mean", "std"].into_iter().enumerate() {
            let found: Vec<f32> = planes.iter().map(|s| s[which]).collect();
            let what = format!("{file} {width}×{height} {key}");
            assert_near(&what, &found, &numbers(&case[key]), 0.008);
        }
        let row = &values[10 * width..][..6];
        assert_near(&format!("{file} {width}×{height} row"), row, &numbers(&case["row10"]), 0.07);
    }
}
