//! The folders of CREMA-D and VGGSound.

use std::{collections::BTreeSet, fs};

use g2d::paper::data::{Clips, Cremad, ExclusionReason, GroupShares, Mode, OnMissing, VggSound};
use rand::{SeedableRng, rngs::StdRng};
use tch::Device;

use super::clip_dataset::loader;
use crate::support::{TempDataSet, assert_error};

fn ids(clips: &Clips) -> Vec<i64> {
    clips.clips().iter().map(|clip| clip.id).collect()
}

fn labels(clips: &Clips) -> Vec<i64> {
    clips.clips().iter().map(|clip| clip.label).collect()
}

pub fn actors(clips: &Clips) -> BTreeSet<String> {
    clips.clips().iter().map(|c| Cremad::actor(&c.name).unwrap().to_owned()).collect()
}

#[test]
fn the_authors_split_of_cremad_follows_its_listings() {
    let set = TempDataSet::cremad(2, 4);
    let cremad = Cremad::new(set.path(), OnMissing::Error);
    let splits = cremad.authors_split().unwrap();
    assert!(splits.val.is_none());
    assert_eq!(ids(&splits.train), [0, 1, 2, 3, 4, 5]);
    assert_eq!(ids(&splits.test), [6, 7]);
    assert_eq!(splits.train.classes(), 6);
    // train.csv lists the clips 0, 1, 2, 4, 5, 6 and test.csv the clips 3 and 7; clip i has the
    // label i mod 6.
    assert_eq!(labels(&splits.train), [0, 1, 2, 4, 5, 0]);
    assert_eq!(labels(&splits.test), [3, 1]);
    let clip = &splits.train.clips()[4];
    assert_eq!(clip.name, "1002_T01_ANG_XX");
    assert!(clip.audio.ends_with("AudioWAV/1002_T01_ANG_XX.wav"));
    assert_eq!(clip.frames.len(), 3);

    let loader = loader(splits.test, &cremad.transform(), Mode::Evaluate, 2, 1);
    let batch = loader.batches(0, Device::Cpu).next().unwrap().unwrap();
    assert_eq!(batch.input(0).size(), [2, 1, 257, 188]);
    assert_eq!(batch.input(1).size(), [2, 3, 1, 224, 224]);
    assert_eq!(batch.ids(), Some(&[6, 7][..]));
}

#[test]
fn the_speaker_split_of_cremad_has_disjoint_speakers() {
    let set = TempDataSet::cremad(10, 2);
    let cremad = Cremad::new(set.path(), OnMissing::Error);
    let shares = GroupShares { val: 0.2, test: 0.3 };
    let splits = cremad.speaker_split(shares, 5).unwrap();
    let parts = [&splits.train, splits.val.as_ref().unwrap(), &splits.test];
    assert_eq!(parts.map(|part| actors(part).len()), [5, 2, 3]);
    assert_eq!(parts.map(Clips::len), [10, 4, 6]);
    let all: BTreeSet<String> = parts.iter().flat_map(|part| actors(part)).collect();
    assert_eq!(all.len(), 10, "a speaker is in two parts");
    let mut every: Vec<i64> = parts.iter().flat_map(|part| ids(part)).collect();
    every.sort_unstable();
    assert_eq!(every, (0..20).collect::<Vec<_>>());

    let again = cremad.speaker_split(shares, 5).unwrap();
    assert_eq!(ids(&again.train), ids(&splits.train));
    let other = (6..12)
        .any(|seed| ids(&cremad.speaker_split(shares, seed).unwrap().train) != ids(&splits.train));
    assert!(other, "the split does not depend on the seed");
    assert_error(cremad.speaker_split(GroupShares { val: 0.5, test: 0.5 }, 1), &["10 speakers"]);
    assert_error(cremad.speaker_split(GroupShares { val: 0.0, test: 0.5 }, 1), &["above 0"]);
}

#[test]
fn a_missing_clip_changes_neither_the_split_nor_other_ids() {
    let set = TempDataSet::cremad(6, 2);
    let whole = Cremad::new(set.path(), OnMissing::Skip);
    let before = whole.speaker_split(GroupShares::default(), 3).unwrap().train;
    let missing = &before.clips()[2];
    fs::remove_file(&missing.audio).unwrap();
    let after = whole.speaker_split(GroupShares::default(), 3).unwrap().train;
    let mut expected = ids(&before);
    expected.remove(2);
    assert_eq!(ids(&after), expected);
}

#[test]
fn missing_files_are_errors_or_counted_as_skipped_clips() {
    let set = TempDataSet::cremad(2, 6);
    let clip = |take: usize| {
        let label = ["NEU", "HAP", "SAD", "FEA", "DIS"][take];
        format!("1001_T{take:02}_{label}_XX")
    };
    let remove = |name: String| fs::remove_file(set.path().join(name)).unwrap();
    remove(format!("AudioWAV/{}.wav", clip(0)));
    fs::remove_dir_all(set.path().join(format!("Image-01-FPS/{}", clip(1)))).unwrap();
    for frame in 0..3 {
        remove(format!("Image-01-FPS/{}/frame_{frame:05}.jpg", clip(2)));
    }
    set.write(&format!("AudioWAV/{}.wav", clip(3)), "");
    // A file that is no image is not counted as a frame.
    set.write(&format!("Image-01-FPS/{}/notes.txt", clip(4)), "three frames");

    let strict = Cremad::new(set.path(), OnMissing::Error);
    let path = format!("AudioWAV/{}.wav", clip(0));
    assert_error(strict.authors_split(), &[&path, "an audio file", "OnMissing::Skip"]);

    let splits = Cremad::new(set.path(), OnMissing::Skip).authors_split().unwrap();
    let excluded = splits.train.excluded();
    assert_eq!((splits.train.len(), excluded.total(), splits.test.excluded().total()), (6, 4, 0));
    let counts = excluded.by_reason().iter().map(|(reason, excluded)| (*reason, excluded.count));
    let expected = [
        (ExclusionReason::MissingAudio, 1),
        (ExclusionReason::MissingFrames, 2),
        (ExclusionReason::Unreadable, 1),
    ];
    assert_eq!(counts.collect::<Vec<_>>(), expected);
    assert_eq!(ids(&splits.train), [4, 5, 6, 7, 8, 9]);
    let frames = &excluded.by_reason()[&ExclusionReason::MissingFrames];
    assert!(frames.examples[0].ends_with(clip(1)) && frames.examples[1].ends_with(clip(2)));
    let text = excluded.to_string();
    assert!(text.starts_with("4 clips excluded: 1 no audio file ("), "{text}");
    assert_eq!(splits.train.clips()[0].frames.len(), 3);

    // Every clip has three frames.
    assert!(strict.clone().with_frames(4).authors_split().is_err());
    let none = Cremad::new(set.path(), OnMissing::Skip).with_frames(4).authors_split();
    assert_error(none, &["at least one with its files", "none of 10"]);
}

#[test]
fn skipped_clips_are_all_counted_and_a_few_named() {
    let set = TempDataSet::cremad(1, 8);
    fs::remove_dir_all(set.path().join("Image-01-FPS")).unwrap();
    set.jpg("Image-01-FPS/1001_T06_NEU_XX/0.jpg", [20, 20], 0, 0);
    set.jpg("Image-01-FPS/1001_T07_HAP_XX/0.jpg", [20, 20], 0, 0);
    let splits = Cremad::new(set.path(), OnMissing::Skip).authors_split().unwrap();
    let (reason, found) = splits.train.excluded().by_reason().iter().next().unwrap();
    assert_eq!(
        (*reason, found.count, found.examples.len()),
        (ExclusionReason::MissingFrames, 6, 3)
    );
    assert!(splits.train.excluded().to_string().ends_with(", …)"));
}

#[test]
fn invalid_listings_are_errors_with_file_and_line() {
    let set = TempDataSet::cremad(2, 2);
    let split = || Cremad::new(set.path(), OnMissing::Skip).authors_split();
    set.write("test.csv", "1001_T01_HAP_XX,JOY\n");
    assert_error(split(), &["test.csv", "1001_T01_HAP_XX", "JOY", "NEU"]);
    set.write("test.csv", "1001_T01_HAP_XX\n");
    assert_error(split(), &["test.csv", "line 1", "clip,label"]);
    set.write("test.csv", "# a comment\n\n1001_T01_HAP_XX,\n");
    assert_error(split(), &["test.csv", "line 3", "clip,label"]);
    set.write("test.csv", "clip,actor,when\n1001_T01_HAP_XX,HAP,3\n");
    assert_error(split(), &["test.csv", "line 1", "clip,label"]);
    set.write("test.csv", "\n");
    assert_error(split(), &["test.csv", "rows", "none"]);
    set.write("test.csv", "1001_T00_NEU_XX,NEU\n");
    let words = ["1001_T00_NEU_XX", "train.csv line 1 (train", "test.csv line 1 (test", "measures"];
    assert_error(split(), &words);
    fs::remove_file(set.path().join("test.csv")).unwrap();
    assert_error(split(), &["test.csv", "open the file"]);
    set.write("test.csv", "noactor,NEU\n");
    let shares = GroupShares::default();
    let split = Cremad::new(set.path(), OnMissing::Skip).speaker_split(shares, 1);
    assert_error(split, &["test.csv", "line 1", "noactor", "speaker"]);
}

#[test]
fn mp3_replaces_a_missing_wav_and_frames_are_ordered_by_number() {
    let set = TempDataSet::cremad(1, 2);
    let clip = "1001_T00_NEU_XX";
    fs::remove_file(set.path().join(format!("AudioWAV/{clip}.wav"))).unwrap();
    let tone = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/paper/fixtures/tone.mp3");
    set.write(&format!("AudioMP3/{clip}.mp3"), fs::read(tone).unwrap());
    for frame in [2, 10, 9] {
        set.jpg(&format!("Image-01-FPS/{clip}/{frame}.jpg"), [20, 20], 0, frame);
    }
    let cremad = Cremad::new(set.path(), OnMissing::Error);
    let train = cremad.authors_split().unwrap().train;
    assert!(train.clips()[0].audio.ends_with("AudioMP3/1001_T00_NEU_XX.mp3"));
    let names = train.clips()[0].frames.iter().map(|f| f.file_name().unwrap().to_str().unwrap());
    assert_eq!(names.take(3).collect::<Vec<_>>(), ["2.jpg", "9.jpg", "10.jpg"]);
    let loader = loader(train, &cremad.transform(), Mode::Train, 1, 1);
    let batch = loader.batches(0, Device::Cpu).next().unwrap().unwrap();
    assert_eq!(batch.input(0).size(), [1, 1, 257, 188]);
}

#[test]
fn both_listings_of_vggsound_give_the_same_clips() {
    let set = TempDataSet::new();
    let clips = ["a-_b_000030", "ccc_000007", "d,d_000120"];
    for (i, clip) in clips.iter().enumerate() {
        set.wav(&format!("audio/{clip}.wav"), 44_100, 1.5, i);
        (0..3).for_each(|f| set.jpg(&format!("Image-01-FPS/{clip}/{f}.jpg"), [50, 40], i, f));
    }
    set.write("train.csv", "a-_b_000030,\"zebra, running\"\nccc_000007,airplane\n");
    set.write("test.csv", "\"d,d_000120\",airplane\n");
    let vgg = VggSound::new(set.path(), OnMissing::Error);
    let plain = vgg.split().unwrap();
    set.write(
        "vggsound.csv",
        "# the data set's own\na-_b,30,\"zebra, running\",train\nccc,7,airplane,train\n\"d,d\",120,airplane,test\n",
    );
    set.write("train.csv", "ignored");
    let own = vgg.split().unwrap();
    assert_eq!(plain.train.clips(), own.train.clips());
    assert_eq!(plain.test.clips(), own.test.clips());
    assert_eq!(own.train.classes(), 2);
    assert_eq!(labels(&own.train), [1, 0]);
    assert_eq!((ids(&own.train), ids(&own.test)), (vec![0, 1], vec![2]));

    for mode in [Mode::Train, Mode::Evaluate] {
        let loader = loader(own.train.clone(), &vgg.transform(), mode, 2, 1);
        let take = |epoch| loader.batches(epoch, Device::Cpu).next().unwrap().unwrap();
        let (first, second) = (take(0), take(1));
        assert_eq!(first.input(0).size(), [2, 1, 129, 626]);
        assert_eq!(first.input(1).size(), [2, 3, 3, 224, 224]);
        let same = first.input(0).equal(second.input(0));
        assert_eq!(same, mode == Mode::Evaluate, "{mode:?}");
    }

    set.write("vggsound.csv", "a-_b,soon,zebra,train\n");
    assert_error(vgg.split(), &["vggsound.csv", "a-_b", "soon"]);
    set.write("vggsound.csv", "a-_b,30,zebra,dev\n");
    assert_error(vgg.split(), &["vggsound.csv", "dev"]);
}

#[test]
fn held_out_and_first_clips_keep_order_and_ids() {
    let set = TempDataSet::cremad(2, 6);
    let train = Cremad::new(set.path(), OnMissing::Error).authors_split().unwrap().train;
    let mut rng = StdRng::seed_from_u64(1);
    let (rest, held) = train.clone().hold_out(0.3, &mut rng).unwrap();
    assert_eq!((rest.len(), held.len()), (7, 3));
    let mut all = [ids(&rest), ids(&held)].concat();
    assert!(ids(&rest).is_sorted() && ids(&held).is_sorted());
    all.sort_unstable();
    assert_eq!(all, ids(&train));
    assert_error(train.hold_out(0.0, &mut rng), &["both sides"]);
}
