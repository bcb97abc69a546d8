//! The listings of CREMA-D and VGGSound: published forms, and clips that are listed twice.

use std::{collections::BTreeSet, fs};

use g2d::paper::data::{Clips, Cremad, GroupShares, OnMissing, VggSound};

use super::clips::actors;
use crate::support::{TempDataSet, assert_error};

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
