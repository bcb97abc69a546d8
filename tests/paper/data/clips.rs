//! The folders of CREMA-D and VGGSound.

use std::{collections::BTreeSet, fs};

use g2d::{
    data::Order,
    paper::data::{Clips, Cremad, ExclusionReason, GroupShares, Mode, OnMissing, VggSound},
};
use rand::{SeedableRng, rngs::StdRng};
use tch::Device;

use super::loader::{loader, options};
use crate::support::{TempDataSet, assert_error};

fn ids(clips: &Clips) -> Vec<i64> {
    clips.clips().iter().map(|clip| clip.id).collect()
}

fn labels(clips: &Clips) -> Vec<i64> {
    clips.clips().iter().map(|clip| clip.label).collect()
}

fn actors(clips: &Clips) -> BTreeSet<String> {
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

    let loader = loader(splits.test, &cremad.transform(), Mode::Evaluate, options(2, 1));
    let batch = loader.batches(0, Order::Stored, Device::Cpu).next().unwrap().unwrap();
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
    let loader = loader(train, &cremad.transform(), Mode::Train, options(1, 1));
    let batch = loader.batches(0, Order::Stored, Device::Cpu).next().unwrap().unwrap();
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
        let loader = loader(own.train.clone(), &vgg.transform(), mode, options(2, 1));
        let take =
            |epoch| loader.batches(epoch, Order::Stored, Device::Cpu).next().unwrap().unwrap();
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

/// VGGSound with three clips of one frame and the given listing.
fn vggsound(listing: &str) -> (TempDataSet, VggSound) {
    let set = TempDataSet::new();
    for (i, clip) in ["--a_000030", "b_000300", "0c_000049"].iter().enumerate() {
        set.wav(&format!("audio/{clip}.wav"), 16_000, 0.2, i);
        set.jpg(&format!("Image-01-FPS/{clip}/00001.jpg"), [20, 20], i, 0);
    }
    set.write("vggsound.csv", listing);
    let vgg = VggSound::new(set.path(), OnMissing::Error).with_frames(1);
    (set, vgg)
}

const PUBLISHED: &str =
    "--a,30,waterfall,train\nb,300,playing organ,train\n0c,49,\"heart sounds, heartbeat\",test\n";

#[test]
fn the_published_listings_of_vggsound_are_read() {
    let (set, vgg) = vggsound(PUBLISHED);
    let expected = vgg.split().unwrap();
    let same = |listing: String| {
        set.write("vggsound.csv", &listing);
        let split = vgg.split().unwrap_or_else(|e| panic!("{listing:?}: {e}"));
        assert_eq!(split.train.clips(), expected.train.clips(), "{listing:?}");
        assert_eq!(split.test.clips(), expected.test.clips(), "{listing:?}");
    };
    same(format!("youtube_id,time,label,split\n{PUBLISHED}"));
    same(format!("# YouTube ID, start seconds, label,train/test split.\n{PUBLISHED}"));
    same(format!("\u{feff}YouTube ID,start seconds,label,train/test split\n{PUBLISHED}"));
    same(PUBLISHED.replace(",30,", ",30.0,").replace('\n', "\r\n"));
    same(PUBLISHED.replace(',', ";").replace("sounds;", "sounds,"));
    same(PUBLISHED.replace('\n', ",,\n"));
    same(
        "label,split,start,YTID,note\nwaterfall,train,30,--a,\nplaying organ,train,300,b,loud\n\
         \"heart sounds, heartbeat\",test,49,0c,\n"
            .to_owned(),
    );
    // train.csv and test.csv of the publishers' repository.
    fs::remove_file(set.path().join("vggsound.csv")).unwrap();
    set.write("train.csv", "--a_000030.mp4,waterfall\nb_000300.mp4,playing organ\n");
    set.write("test.csv", "0c_000049.mp4,\"heart sounds, heartbeat\"\n");
    let split = vgg.split().unwrap();
    assert_eq!(split.train.clips(), expected.train.clips());
    assert_eq!(split.test.clips(), expected.test.clips());
}

#[test]
fn a_clip_listed_twice_is_an_error_with_both_lines() {
    for (line, words) in [
        ("--a,30,waterfall,test", ["line 1 (train, \"waterfall\")", "line 4 (test", "measures"]),
        ("--a,30,waterfall,train", ["line 1 (train", "line 4 (train", "remove one line"]),
        ("--a,30,people,train", ["\"waterfall\"", "line 4 (train, \"people\")", "wrong label"]),
    ] {
        let (_set, vgg) = vggsound(&format!("{PUBLISHED}{line}\n"));
        assert_error(vgg.split(), &["vggsound.csv", "--a_000030", words[0], words[1], words[2]]);
    }
    // Another part of the same video is another clip.
    let (set, vgg) = vggsound(&format!("{PUBLISHED}--a,31,waterfall,train\n"));
    set.wav("audio/--a_000031.wav", 16_000, 0.2, 4);
    set.jpg("Image-01-FPS/--a_000031/00001.jpg", [20, 20], 4, 0);
    assert_eq!(vgg.split().unwrap().train.len(), 3);
    let (set, _) = vggsound("");
    fs::remove_file(set.path().join("vggsound.csv")).unwrap();
    set.write("train.csv", "b_000300,x\nb_000300.mp4,x\n");
    set.write("test.csv", "--a_000030,x\n");
    let vgg = VggSound::new(set.path(), OnMissing::Skip);
    assert_error(vgg.split(), &["train.csv line 1", "train.csv line 2"]);
}

#[test]
fn a_listing_that_a_spreadsheet_program_changed_is_an_error() {
    let (_set, vgg) = vggsound(&PUBLISHED.replace("--a", "#NAME?"));
    assert_error(vgg.split(), &["vggsound.csv", "line 1", "#NAME?", "as it was published"]);
}

#[test]
fn the_published_list_of_cremads_clips_gives_a_speaker_split() {
    let set = TempDataSet::cremad(6, 2);
    let shares = GroupShares { val: 0.2, test: 0.2 };
    let cremad = Cremad::new(set.path(), OnMissing::Error);
    let listed = cremad.speaker_split(shares, 1).unwrap();
    for name in ["train.csv", "test.csv"] {
        fs::remove_file(set.path().join(name)).unwrap();
    }
    let clips = (0..12).map(|i| {
        let label = ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"][i % 6];
        format!("{},\"{}_T{:02}_{label}_XX\"\n", i + 1, 1001 + i / 2, i % 2)
    });
    let listing = format!("\"Stimulus_Number\",\"Filename\"\n{}", clips.collect::<String>());
    set.write("SentenceFilenames.csv", &listing);
    let own = cremad.speaker_split(shares, 1).unwrap();
    assert_eq!(actors(&own.train), actors(&listed.train));
    let label = |clips: &Clips| {
        clips.clips().iter().map(|c| (c.name.clone(), c.label)).collect::<BTreeSet<_>>()
    };
    assert_eq!(label(&own.train), label(&listed.train));
    assert_error(cremad.authors_split(), &["train.csv"]);
    set.write("SentenceFilenames.csv", "Stimulus_Number,Filename\n1,noactor\n");
    assert_error(cremad.speaker_split(shares, 1), &["SentenceFilenames.csv", "line 2", "noactor"]);
}

const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:c6c6\nsize 72862\n";

/// The bytes of an MP3, a WAV of 16 kHz, a JPEG and a PNG.
fn media() -> [Vec<u8>; 4] {
    let tone = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/paper/fixtures/tone.mp3");
    let set = TempDataSet::new();
    set.wav("a.wav", 16_000, 0.2, 0);
    set.jpg("a.jpg", [30, 20], 0, 0);
    set.jpg("a.png", [30, 20], 0, 0);
    let [wav, jpg, png] =
        ["a.wav", "a.jpg", "a.png"].map(|n| fs::read(set.path().join(n)).unwrap());
    [fs::read(tone).unwrap(), wav, jpg, png]
}

/// An MP3 with a first frame that states the number of frames and bytes after it.
fn with_info(mp3: &[u8], frames: u32, bytes: usize) -> Vec<u8> {
    let first = mp3.windows(2).position(|w| w[0] == 0xff && w[1] & 0xe0 == 0xe0).unwrap();
    let bytes = (bytes as u32).to_be_bytes();
    let info = [&mp3[first..first + 4], &[0; 9], b"Info\0\0\0\x03", &frames.to_be_bytes(), &bytes];
    [&info.concat()[..], &[0; 80], &mp3[first..]].concat()
}

#[test]
fn unreadable_files_are_found_by_the_index_and_left_out() {
    let [mp3, wav, jpg, png] = media();
    let tag = |size: u8| [&b"ID3\x03\0\0\0\0\0"[..], &[size], &vec![0; size.into()]].concat();
    let empty_wav = |extra: &[u8]| {
        let mut header = wav[..44].to_vec();
        header[4..8].copy_from_slice(&(36 + extra.len() as u32).to_le_bytes());
        header[40..44].copy_from_slice(&[0; 4]);
        [header, extra.to_vec()].concat()
    };
    use ExclusionReason::{Blank, Damaged, LfsPointer, Unreadable};
    let audio: Vec<(&str, Vec<u8>, ExclusionReason)> = vec![
        ("mp3", tag(15), Blank),
        ("mp3", [tag(15), b"TAG".to_vec(), vec![0; 125]].concat(), Blank),
        ("mp3", vec![0; 3000], Blank),
        ("mp3", with_info(&mp3, 0, mp3.len()), Blank),
        ("mp3", with_info(&mp3, 20, mp3.len() + 4000), Damaged),
        ("mp3", b"no sound at all".to_vec(), Damaged),
        ("mp3", POINTER.into(), LfsPointer),
        ("wav", POINTER.into(), LfsPointer),
        ("wav", empty_wav(&[]), Blank),
        ("wav", empty_wav(b"LIST\x04\0\0\0INFO"), Blank),
        ("wav", wav[..30].to_vec(), Damaged),
        ("wav", wav[..wav.len() / 2].to_vec(), Damaged),
        ("wav", b"<html>404</html>".to_vec(), Damaged),
        ("wav", vec![], Unreadable),
    ];
    let pictures: Vec<(&str, Vec<u8>, ExclusionReason)> = vec![
        ("jpg", POINTER.into(), LfsPointer),
        ("jpg", vec![], Unreadable),
        ("jpg", jpg[..jpg.len() * 6 / 10].to_vec(), Damaged),
        ("jpg", jpg[..2].to_vec(), Damaged),
        ("png", png[..png.len() / 2].to_vec(), Damaged),
        ("png", b"GIF89a".to_vec(), Damaged),
    ];
    for (is_audio, (extension, bytes, reason)) in
        audio.into_iter().map(|a| (true, a)).chain(pictures.into_iter().map(|p| (false, p)))
    {
        let set = TempDataSet::cremad(1, 3);
        let clip = "1001_T00_NEU_XX";
        let name = if is_audio {
            fs::remove_file(set.path().join(format!("AudioWAV/{clip}.wav"))).unwrap();
            let folder = if extension == "wav" { "AudioWAV" } else { "AudioMP3" };
            format!("{folder}/{clip}.{extension}")
        } else {
            format!("Image-01-FPS/{clip}/bad.{extension}")
        };
        set.write(&name, &bytes);
        let what = format!("{name} of {} bytes", bytes.len());
        let cremad = Cremad::new(set.path(), OnMissing::Skip);
        let train = cremad.authors_split().unwrap().train;
        assert_eq!(train.len(), 1, "{what}");
        let (found, excluded) = train.excluded().by_reason().iter().next().unwrap();
        assert_eq!((*found, excluded.count), (reason, 1), "{what}");
        assert!(excluded.examples[0].ends_with(&name), "{excluded:?}");
        let loader = loader(train, &cremad.transform(), Mode::Train, options(2, 1));
        assert!(loader.batches(0, Order::Stored, Device::Cpu).all(|batch| batch.is_ok()));
        let strict = Cremad::new(set.path(), OnMissing::Error).authors_split();
        assert_error(strict, &[&name, clip, &reason.to_string(), "OnMissing::Skip"]);
    }
}

#[test]
fn whole_files_pass_the_check_of_the_index() {
    let [mp3, wav, jpg, png] = media();
    let cover = [&b"ID3\x03\0\0\0\0\x40\0"[..], &[0xff; 8192]].concat();
    let list = |size: u8| [&b"LIST"[..], &[size, 0, 0, 0], &vec![b'x'; size.into()]].concat();
    let chunk = |list: Vec<u8>| [&wav[..36], &list, &wav[36..]].concat();
    let sizes = |riff: u32, data: u32| {
        let mut wav = wav.clone();
        wav[4..8].copy_from_slice(&riff.to_le_bytes());
        wav[40..44].copy_from_slice(&data.to_le_bytes());
        wav
    };
    let audio: Vec<(&str, Vec<u8>)> = vec![
        ("mp3", mp3.clone()),
        ("mp3", [cover, mp3.clone()].concat()),
        ("mp3", [mp3.clone(), b"TAG".to_vec(), vec![0; 125]].concat()),
        ("mp3", with_info(&mp3, 20, mp3.len())),
        ("WAV", wav.clone()),
        ("wav", chunk(list(18))),
        ("wav", chunk(list(17))),
        ("wav", chunk([&b"LIST\x00\x40\0\0"[..], &[b'x'; 16384]].concat())),
        ("wav", sizes(u32::MAX, u32::MAX)),
        ("wav", sizes(0, 0)),
        ("wav", [wav.clone(), vec![0]].concat()),
    ];
    for (extension, bytes) in audio {
        let set = TempDataSet::cremad(1, 2);
        let clip = "1001_T00_NEU_XX";
        fs::remove_file(set.path().join(format!("AudioWAV/{clip}.wav"))).unwrap();
        let folder = if extension == "mp3" { "AudioMP3" } else { "AudioWAV" };
        set.write(&format!("{folder}/{clip}.{extension}"), &bytes);
        // A program has added something after the pictures.
        set.write(&format!("Image-01-FPS/{clip}/8.JPG"), [&jpg[..], &[1; 9000]].concat());
        set.write(&format!("Image-01-FPS/{clip}/9.PNG"), [&png[..], &[1; 9000]].concat());
        let train = Cremad::new(set.path(), OnMissing::Error).authors_split().unwrap().train;
        assert_eq!(train.clips()[0].frames.len(), 5);
    }
}

#[test]
fn hidden_files_are_no_data() {
    let set = TempDataSet::cremad(1, 3);
    let clips = ["1001_T00_NEU_XX", "1001_T01_HAP_XX"];
    for name in ["._frame_00000.jpg", ".hidden.png", "Thumbs.db", "~$1.jpg", "__MACOSX/1.jpg"] {
        set.write(&format!("Image-01-FPS/{}/{name}", clips[0]), "x");
        set.write(&format!("Image-01-FPS/{}/{name}", clips[1]), "x");
    }
    for frame in 0..3 {
        let frame = format!("Image-01-FPS/{}/frame_{frame:05}.jpg", clips[1]);
        fs::remove_file(set.path().join(frame)).unwrap();
    }
    let train = Cremad::new(set.path(), OnMissing::Skip).authors_split().unwrap().train;
    assert_eq!((train.len(), train.clips()[0].frames.len()), (1, 3));
    assert!(train.excluded().by_reason().contains_key(&ExclusionReason::MissingFrames));
}

#[test]
fn the_hint_without_any_clip_is_that_of_the_cause() {
    let set = TempDataSet::cremad(1, 2);
    for clip in ["1001_T00_NEU_XX", "1001_T01_HAP_XX"] {
        set.write(&format!("AudioWAV/{clip}.wav"), POINTER);
    }
    let split = || Cremad::new(set.path(), OnMissing::Skip).authors_split();
    assert_error(split(), &["none of 1", "1 Git LFS pointer", "git lfs pull"]);
    fs::remove_dir_all(set.path().join("AudioWAV")).unwrap();
    assert_error(split(), &["1 no audio file", "layout of its audio files"]);
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_broken_ones_unreadable() {
    let set = TempDataSet::cremad(1, 3);
    let folder = set.path().join("Image-01-FPS/1001_T00_NEU_XX");
    std::os::unix::fs::symlink(folder.join("frame_00000.jpg"), folder.join("link.jpg")).unwrap();
    let split = || Cremad::new(set.path(), OnMissing::Skip).authors_split().unwrap().train;
    assert_eq!(split().clips()[0].frames.len(), 4);
    std::os::unix::fs::symlink(folder.join("none.jpg"), folder.join("broken.jpg")).unwrap();
    assert_eq!(split().excluded().by_reason()[&ExclusionReason::Unreadable].count, 1);
}
