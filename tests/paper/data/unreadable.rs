//! Files that a decoder cannot read, and files that are no data, in the index of clips.

use std::fs;

use g2d::paper::data::{Cremad, ExclusionReason, Mode, OnMissing};
use tch::Device;

use super::clip_dataset::loader;
use crate::support::{TempDataSet, assert_error};

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
        ("mp3", with_info(&mp3, 0, 0)[..100].to_vec(), Blank),
        ("mp3", with_info(&mp3, 20, mp3.len() + 400), Damaged),
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
        let loader = loader(train, &cremad.transform(), Mode::Train, 2, 1);
        assert!(loader.batches(0, Device::Cpu).all(|batch| batch.is_ok()));
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
        ("mp3", with_info(&mp3, 0, 0)),
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
