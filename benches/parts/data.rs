//! Decoding, spectrogram, resizing: a clip of CREMA-D on its way to a batch.

use std::{fs, hint::black_box};

use criterion::Criterion;
use g2d::{
    data::Order,
    paper::data::{
        ClipLoader, Cremad, CropBox, LoaderOptions, LogSpectrogram, Mode, OnMissing, RgbPicture,
        Waveform,
    },
};
use image::{Rgb, RgbImage};
use tch::Device;

const SECONDS: usize = 3;

fn write_sound(path: &std::path::Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut sound = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..16_000 * SECONDS as i64 {
        sound.write_sample((n * 7919 % 20_011 - 10_000) as i16).unwrap();
    }
    sound.finalize().unwrap();
}

fn write_picture(path: &std::path::Path) {
    let colour = |x: u32, y: u32| {
        let noise = (x * 7919 + y * 104_729) % 17;
        Rgb([x / 2 + noise, y / 2 + noise, (x + y) / 4 + noise].map(|c| c as u8))
    };
    RgbImage::from_fn(480, 360, colour).save(path).unwrap();
}

pub fn sound(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.wav");
    write_sound(&path);
    c.bench_function("sound/decode", |b| b.iter(|| Waveform::read(black_box(&path)).unwrap()));
    let wave = Waveform::read(&path).unwrap();
    c.bench_function("sound/resample", |b| b.iter(|| wave.resampled(22_050).unwrap()));
    let samples = wave.resampled(22_050).unwrap();
    let spectrogram = LogSpectrogram::new(512, 353).unwrap();
    c.bench_function("sound/spectrogram", |b| b.iter(|| spectrogram.compute(samples.samples())));
}

pub fn picture(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frame.jpg");
    write_picture(&path);
    c.bench_function("picture/decode", |b| b.iter(|| RgbPicture::read(black_box(&path)).unwrap()));
    let picture = RgbPicture::read(&path).unwrap();
    let part = CropBox { left: 40, top: 30, width: 320, height: 280 };
    c.bench_function("picture/resize", |b| b.iter(|| picture.cropped_and_resized(part, 224, 224)));
}

/// One batch of 16 by one worker, files to tensors.
pub fn loader(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("AudioWAV")).unwrap();
    let mut train = String::new();
    for i in 0..17 {
        let name = format!("{}_IEO_NEU_XX", 1001 + i);
        if i == 16 {
            fs::write(root.join("test.csv"), format!("{name},NEU\n")).unwrap();
        } else {
            train += &format!("{name},NEU\n");
        }
        write_sound(&root.join(format!("AudioWAV/{name}.wav")));
        let frames = root.join(format!("Image-01-FPS/{name}"));
        fs::create_dir_all(&frames).unwrap();
        write_picture(&frames.join("frame.jpg"));
    }
    fs::write(root.join("train.csv"), train).unwrap();
    let cremad = Cremad::new(root, OnMissing::Error);
    let clips = cremad.authors_split().unwrap().train;
    let loader =
        ClipLoader::new(clips, &cremad.transform(), Mode::Train, LoaderOptions::default()).unwrap();
    let epoch = || loader.batches(0, Order::Stored, Device::Cpu).map(Result::unwrap).count();
    c.bench_function("loader/batch of 16", |b| b.iter(epoch));
}
