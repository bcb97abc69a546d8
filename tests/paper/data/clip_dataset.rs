//! Clips as samples: augmentation, cache, errors.

use std::{collections::BTreeMap, fs};

use g2d::{
    Batch,
    data::{BatchOrder, Loader, LoaderOptions},
    paper::data::{
        AudioTransform, ClipCache, ClipDataset, ClipTransform, Clips, Cremad, FrameTransform,
        LogSpectrogram, Mode, OnMissing, RgbPicture, Waveform,
    },
};
use tch::{Device, Kind, Tensor};

use crate::support::{TempDataSet, assert_error, assert_same_batch};

/// A loader of batches in stored order, with the augmentation of seed 3.
pub fn loader(
    clips: Clips,
    transform: &ClipTransform,
    mode: Mode,
    batch_size: usize,
    workers: usize,
) -> Loader<ClipDataset> {
    let clips = ClipDataset::new(clips, transform, mode, ClipCache::Off).unwrap();
    of_dataset(clips, BatchOrder { seed: 3, ..BatchOrder::stored(batch_size) }, workers)
}

fn of_dataset(clips: ClipDataset, order: BatchOrder, workers: usize) -> Loader<ClipDataset> {
    let options = LoaderOptions { workers, ..Default::default() };
    Loader::new(clips, order, options).unwrap()
}

/// A small transform in which every step is random: the part of the sound, the frames, their crops and
/// flips.
fn transform() -> ClipTransform {
    ClipTransform {
        audio: AudioTransform { rate: 8_000, filled: 8_000, kept: 4_000, n_fft: 64, hop: 100 },
        visual: FrameTransform { side: 12, ..FrameTransform::imagenet(2) },
    }
}

fn clips(set: &TempDataSet) -> Clips {
    let splits = Cremad::new(set.path(), OnMissing::Error).with_frames(2).authors_split();
    splits.unwrap().train
}

fn all(loader: &Loader<ClipDataset>, epoch: u64) -> Vec<Batch> {
    loader.batches(epoch, Device::Cpu).map(Result::unwrap).collect()
}

/// The two inputs of every sample, by id.
fn by_id(batches: &[Batch]) -> BTreeMap<i64, [Tensor; 2]> {
    let mut samples = BTreeMap::new();
    for batch in batches {
        for (row, id) in batch.ids().unwrap().iter().enumerate() {
            samples.insert(*id, [0, 1].map(|m| batch.input(m).get(row as i64)));
        }
    }
    samples
}

#[track_caller]
fn assert_samples(left: &[Batch], right: &[Batch]) {
    let (left, right) = (by_id(left), by_id(right));
    assert!(left.keys().eq(right.keys()));
    for (id, inputs) in &left {
        for m in 0..2 {
            assert!(inputs[m].equal(&right[id][m]), "input {m} of sample {id} differs");
        }
    }
}

#[test]
fn a_batch_has_the_inputs_labels_and_ids_of_its_clips() {
    let set = TempDataSet::cremad(3, 5);
    let batches = all(&loader(clips(&set), &transform(), Mode::Train, 5, 2), 2);
    assert_eq!(batches.iter().map(Batch::size).collect::<Vec<_>>(), [5, 5, 2]);
    assert_eq!(batches[0].input(0).size(), [5, 1, 33, 41]);
    assert_eq!(batches[0].input(1).size(), [5, 3, 2, 12, 12]);
    assert_eq!(batches[0].input(0).kind(), Kind::Float);
    let ids = batches[0].ids().unwrap();
    let labels = ids.iter().map(|&id| clips(&set).clips()[id as usize].label);
    let targets = Vec::<i64>::try_from(batches[0].targets()).unwrap();
    assert_eq!(targets, labels.collect::<Vec<_>>());
}

#[test]
fn an_augmented_sample_depends_on_seed_epoch_and_id_alone() {
    let set = TempDataSet::cremad(3, 4);
    let with = |order| {
        let clips = ClipDataset::new(clips(&set), &transform(), Mode::Train, ClipCache::Off);
        of_dataset(clips.unwrap(), order, 2)
    };
    let stored_with = |seed| with(BatchOrder { seed, ..BatchOrder::stored(4) });
    let stored = all(&stored_with(3), 1);
    assert_samples(&stored, &all(&with(BatchOrder::shuffled(2, 3)), 1));
    for other in [all(&stored_with(3), 2), all(&stored_with(4), 1)] {
        for (l, r) in stored.iter().zip(&other) {
            assert!(!l.input(0).equal(r.input(0)), "the part of the sound is the same");
            assert!(!l.input(1).equal(r.input(1)), "the frames are the same");
        }
    }
    // About half of the frames are mirrored; an image gets brighter to the right unless it is.
    let half =
        |frame: &Tensor, start| frame.narrow(2, start, 6).mean(Kind::Float).double_value(&[]);
    let red = |batch: &Batch| batch.input(1).narrow(1, 0, 1).flatten(0, 2);
    let mirrored: Vec<bool> = (0..6)
        .flat_map(|epoch| all(&stored_with(3), epoch))
        .flat_map(|batch| {
            let frames = red(&batch);
            (0..frames.size()[0]).map(move |i| frames.narrow(0, i, 1)).collect::<Vec<_>>()
        })
        .map(|frame| half(&frame, 0) > half(&frame, 6))
        .collect();
    let share = mirrored.iter().filter(|m| **m).count() as f64 / mirrored.len() as f64;
    assert!((0.3..0.7).contains(&share), "{share} of {} are mirrored", mirrored.len());
}

#[test]
fn in_evaluation_a_sample_is_the_middle_of_its_sound_and_frames() {
    let set = TempDataSet::cremad(2, 3);
    let clips = clips(&set);
    let clip = clips.clips()[1].clone();
    let transform = transform();
    let loader = loader(clips, &transform, Mode::Evaluate, 4, 2);
    let batches = all(&loader, 0);
    assert_samples(&batches, &all(&loader, 9));
    let [sound, frames] = &by_id(&batches)[&clip.id];

    // 1.3 s of sound at 8 kHz, cut at 1 s: samples 2,000 to 6,000.
    let wave = Waveform::read(&clip.audio).unwrap().resampled(8_000).unwrap();
    let values = LogSpectrogram::new(64, 100).unwrap().compute(&wave.samples()[2_000..6_000]);
    assert!(sound.flatten(0, -1).allclose(&Tensor::from_slice(&values), 0.0, 0.0, false));

    // Two of three frames: the middles of two halves, 0 and 2.
    for (place, number) in [(0, 0), (1, 2)] {
        let picture = RgbPicture::read(&clip.frames[number]).unwrap().resized(12, 12);
        let expected = Tensor::from_slice(&transform.visual.normalised(&picture)).view([3, 12, 12]);
        assert!(frames.select(1, place).equal(&expected), "frame {place}");
    }
}

#[test]
fn a_short_sound_is_repeated() {
    let set = TempDataSet::cremad(1, 2);
    let path = "AudioWAV/1001_T00_NEU_XX.wav";
    let samples: Vec<i16> = (0..700).map(|i| (i * 37 % 2_000) as i16 * 10).collect();
    set.wav_from_samples(path, 8_000, 1, &samples);
    let loader = loader(clips(&set), &transform(), Mode::Evaluate, 1, 1);
    let batch = all(&loader, 0).remove(0);
    let repeated: Vec<f32> =
        (2_000..6_000).map(|i| f32::from(samples[i % 700]) / 32768.0).collect();
    let expected = LogSpectrogram::new(64, 100).unwrap().compute(&repeated);
    assert!(batch.input(0).flatten(0, -1).equal(&Tensor::from_slice(&expected)));
}

#[test]
fn a_cache_does_not_change_batches_and_replaces_reading_the_files() {
    for mode in [Mode::Train, Mode::Evaluate] {
        let set = TempDataSet::cremad(2, 4);
        let with = |cache| {
            let clips = ClipDataset::new(clips(&set), &transform(), mode, cache).unwrap();
            of_dataset(clips, BatchOrder::stored(3), 2)
        };
        let (off, on) = (with(ClipCache::Off), with(ClipCache::Memory { bytes: 1 << 24 }));
        // Bytes of two frames per clip in evaluation and, after five epochs of training, of all
        // three.
        let frames = if mode == Mode::Train { 3 * 60 * 44 } else { 2 * 12 * 12 } * 3;
        let sound = if mode == Mode::Train { 8_000 } else { 33 * 41 } * 4;
        let whole = 6 * (frames + sound);
        let part = with(ClipCache::Memory { bytes: whole / 2 });
        let mut epochs = Vec::new();
        for epoch in 0..5 {
            let expected = all(&off, epoch);
            for cached in [&on, &part] {
                let found = all(cached, epoch);
                expected.iter().zip(&found).for_each(|(l, r)| assert_same_batch(l, r));
            }
            epochs.push(expected);
        }
        assert_eq!(off.dataset().cached_bytes(), 0);
        assert_eq!(on.dataset().cached_bytes(), whole, "{mode:?}");
        assert!((whole / 4..=whole / 2).contains(&part.dataset().cached_bytes()), "{mode:?}");

        fs::remove_dir_all(set.path()).unwrap();
        let found = all(&on, 4);
        epochs[4].iter().zip(&found).for_each(|(l, r)| assert_same_batch(l, r));
        let missing = part.batches(4, Device::Cpu).find_map(Result::err);
        assert!(missing.is_some(), "samples beyond the size of the cache are read from files");
    }
}

#[test]
fn a_damaged_file_is_an_error_in_place_of_its_batch() {
    let set = TempDataSet::cremad(2, 5);
    let clips = clips(&set);
    set.write("AudioWAV/1001_T03_FEA_XX.wav", "no sound");
    for workers in [1, 3] {
        let loader = loader(clips.clone(), &transform(), Mode::Train, 2, workers);
        let mut batches = loader.batches(0, Device::Cpu);
        assert_eq!(batches.next().unwrap().unwrap().ids(), Some(&[0, 1][..]));
        assert_error(batches.next().unwrap(), &["1001_T03_FEA_XX.wav", "complete WAV"]);
        assert!(batches.next().is_none() && batches.next().is_none());
    }
    set.wav("AudioWAV/1001_T03_FEA_XX.wav", 8_000, 1.0, 0);
    let frames = "Image-01-FPS/1001_T00_NEU_XX";
    (0..3).for_each(|f| drop(set.write(&format!("{frames}/frame_{f:05}.jpg"), "no picture")));
    let loader = loader(clips, &transform(), Mode::Evaluate, 2, 2);
    let first = loader.batches(0, Device::Cpu).next().unwrap();
    assert_error(first, &["1001_T00_NEU_XX", "complete JPEG or PNG"]);
}

#[test]
fn invalid_transforms_are_errors() {
    let set = TempDataSet::cremad(1, 2);
    let build = |change: fn(&mut ClipTransform)| {
        let mut transform = transform();
        change(&mut transform);
        ClipDataset::new(clips(&set), &transform, Mode::Train, ClipCache::Off)
    };
    build(|_| ()).unwrap();
    assert_error(build(|r| r.audio.kept = 8_001), &["kept 8001"]);
    assert_error(build(|r| r.audio.kept = 0), &["kept 0"]);
    assert_error(build(|r| r.audio.rate = 1), &["sampling rate"]);
    assert_error(build(|r| r.audio.n_fft = 63), &["n_fft 63"]);
    assert_error(build(|r| r.visual.frames = 0), &["frame transform"]);
    assert_error(build(|r| r.visual.frames = 4), &["frames of the transform", "at most 3"]);
    assert_error(build(|r| r.visual.std[1] = 0.0), &["frame transform"]);
    assert_error(build(|r| r.visual.flip = 1.5), &["frame transform"]);
    assert_error(build(|r| r.visual.crop.scale = [0.5, 1.5]), &["random crop"]);
    assert_error(build(|r| r.visual.crop.ratio = [2.0, 1.0]), &["random crop"]);
}
