//! The stages that a clip of CREMA-D passes on its way into a batch.

use std::hint::black_box;

use criterion::Criterion;
use g2d::{
    data::{BatchOrder, Loader, LoaderOptions},
    paper::data::{
        ClipCache, ClipDataset, Cremad, CropBox, LogSpectrogram, Mode, OnMissing, RgbPicture,
        Waveform,
    },
};
use tch::Device;

use crate::cremad_files::{write_clips, write_picture, write_sound};

/// Three seconds.
const SAMPLES: i64 = 48_000;

pub fn sound(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.wav");
    write_sound(&path, SAMPLES, 0).unwrap();
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
    write_picture(&path, 0).unwrap();
    c.bench_function("picture/decode", |b| b.iter(|| RgbPicture::read(black_box(&path)).unwrap()));
    let picture = RgbPicture::read(&path).unwrap();
    let part = CropBox { left: 40, top: 30, width: 320, height: 280 };
    c.bench_function("picture/resize", |b| b.iter(|| picture.cropped_and_resized(part, 224, 224)));
}

/// One batch of 16 clips, from files to tensors, by one worker.
pub fn loader(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    write_clips(folder.path(), 16, SAMPLES).unwrap();
    let cremad = Cremad::new(folder.path(), OnMissing::Error);
    let clips = cremad.authors_split().unwrap().train;
    let clips = ClipDataset::new(clips, &cremad.transform(), Mode::Train, ClipCache::Off).unwrap();
    let loader = Loader::new(clips, BatchOrder::stored(16), LoaderOptions::default()).unwrap();
    let epoch = || loader.batches(0, Device::Cpu).map(Result::unwrap).count();
    c.bench_function("loader/batch of 16", |b| b.iter(epoch));
}
