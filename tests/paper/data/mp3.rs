//! MP3 files with tags, and cut ones.

use std::f32::consts::TAU;

use g2d::{Result, paper::data::Waveform};

use crate::support::{TempDataSet, assert_error, assert_mismatch};

/// A tone of 440 Hz, 0.3 s at 24 kHz, by `lame -b 64 -m m`: its header states the number of frames,
/// and all frames have the same length.
const TONE: &[u8] = include_bytes!("../fixtures/headed.mp3");

fn read(bytes: &[u8]) -> Result<Waveform> {
    Waveform::read(TempDataSet::new().write("a.mp3", bytes))
}

/// A picture that holds three headers of MP3 frames at the distance of their length.
fn cover() -> Vec<u8> {
    let frame = [&[0xff, 0xfb, 0x90, 0x64], &[0; 413][..]].concat();
    [&b"\x89PNG"[..], &frame, &frame, &frame].concat()
}

fn id3v2(content: &[u8]) -> Vec<u8> {
    let size = [21, 14, 7, 0].map(|shift| (content.len() >> shift) as u8 & 0x7f);
    [b"ID3\x03\0\0", &size[..], content].concat()
}

/// An APE tag with a header and a footer.
fn ape(content: &[u8]) -> Vec<u8> {
    let size = (content.len() as u32 + 32).to_le_bytes();
    let bound = |flags: u8| {
        [b"APETAGEX\xd0\x07\0\0", &size[..], &[1, 0, 0, 0, 0, 0, 0, flags], &[0; 8]].concat()
    };
    [bound(0xa0), content.to_vec(), bound(0x80)].concat()
}

fn id3v1() -> Vec<u8> {
    [b"TAG", &[b'x'; 125][..]].concat()
}

/// The frames of the tone without their header, which is the first of them: their length is unknown.
fn without_header() -> Vec<u8> {
    TONE[length(TONE)..].to_vec()
}

/// The length of the first frame, as the distance to the next one.
fn length(frames: &[u8]) -> usize {
    1 + frames[1..].windows(3).position(|bytes| bytes == &frames[..3]).unwrap()
}

#[test]
fn what_the_encoder_added_is_removed() {
    let wave = read(TONE).unwrap();
    assert_eq!((wave.samples().len(), wave.rate()), (7_200, 24_000));
    for (i, sample) in wave.samples().iter().enumerate().skip(1_000).take(5_000) {
        // LAME scales by 0.95.
        let tone = 0.475 * (TAU * 440.0 * i as f32 / 24_000.0).sin();
        assert!((sample - tone).abs() < 5e-3, "sample {i} is {sample}, not {tone}");
    }
}

#[test]
fn tags_and_covers_do_not_change_the_samples() {
    let expected = read(TONE).unwrap();
    let (cover, silent) = (cover(), vec![0; 700]);
    for (what, before, after) in [
        ("ID3v2 with a cover", id3v2(&cover), vec![]),
        ("two ID3v2", [id3v2(&cover), id3v2(b"TIT2")].concat(), vec![]),
        ("ID3v2 and padding", [id3v2(&cover), silent.clone()].concat(), vec![]),
        ("ID3v1", vec![], id3v1()),
        ("APE before", ape(&cover), vec![]),
        ("APE and ID3v1 after", vec![], [ape(&cover), id3v1()].concat()),
        ("APE without a header after", vec![], ape(&cover)[32..].to_vec()),
        ("lyrics", vec![], b"LYRICSBEGININD0000200000031LYRICS200".to_vec()),
        ("padding after", vec![], silent),
        ("other bytes before", b"junk".repeat(50), vec![]),
    ] {
        let tagged = read(&[&before, TONE, &after].concat());
        assert_eq!(tagged.unwrap_or_else(|e| panic!("{what}: {e}")), expected, "{what}");
        // The end of the frames must also be found where no header states their number.
        let untagged = read(&without_header()).unwrap();
        let tagged = read(&[before, without_header(), after].concat());
        assert_eq!(tagged.unwrap_or_else(|e| panic!("{what}: {e}")), untagged, "{what}");
    }
}

#[test]
fn a_file_with_fewer_frames_than_its_header_states_is_damaged() {
    for cut in [1, length(TONE), 600, TONE.len() / 2] {
        for end in [vec![], id3v1()] {
            let cut = [&TONE[..TONE.len() - cut], &end].concat();
            assert_mismatch(read(&cut), &["complete MP3", "frames that its header states"]);
        }
    }
}

#[test]
fn a_file_without_a_header_that_is_cut_within_a_frame_is_damaged() {
    let frames = without_header();
    assert_error(read(&frames[..frames.len() - 1]), &["complete MP3", "no whole frame at byte"]);
    let first = length(&frames);
    let hole = [&frames[..first], &[0; 100], &frames[first..]].concat();
    assert_error(read(&hole), &["complete MP3", &format!("no whole frame at byte {first}")]);
}

/// All samples are there, since the length is not estimated from the first frames.
#[test]
fn files_that_were_joined_have_the_samples_of_both() {
    let one = read(TONE).unwrap().samples().len();
    for between in [vec![], id3v1(), id3v2(&cover())] {
        let joined = read(&[TONE, &between, TONE].concat()).unwrap();
        assert!(joined.samples().len() >= 2 * one, "{} of {one}", joined.samples().len());
    }
}

#[test]
fn a_form_that_is_not_supported_is_named_and_not_called_damaged() {
    for (header, form) in [
        ([0xff, 0xfb, 0x00, 0xc4], "free format"),
        ([0xff, 0xfd, 0x90, 0xc4], "layer II"),
        ([0xff, 0xff, 0x90, 0xc4], "layer I"),
    ] {
        let file = [&header[..], &[0; 2000]].concat();
        assert_mismatch(read(&file), &[form, "not supported", "convert"]);
    }
    assert_error(read(b"OggS\0\x02"), &["an Ogg file", "not supported"]);
    let mut stereo = TONE.to_vec();
    let first = length(TONE);
    stereo[first + 3] &= 0x3f;
    assert_error(read(&stereo), &["number of channels changes", "not supported"]);
}

#[test]
fn a_file_without_audio_is_damaged() {
    for bytes in [id3v2(&cover()), id3v1(), vec![0; 5_000], vec![], b"not a sound".to_vec()] {
        assert_error(read(&bytes), &["complete MP3"]);
    }
    assert_error(read(&TONE[..length(TONE)]), &["frames that its header states"]);
}

#[test]
fn the_content_and_not_the_extension_tells_the_format() {
    let set = TempDataSet::new();
    let wav = set.wav_from_samples("a.wav", 8_000, 1, &[1, 2, 3]);
    let named_mp3 = set.write("b.mp3", std::fs::read(&wav).unwrap());
    assert_eq!(Waveform::read(named_mp3).unwrap(), Waveform::read(wav).unwrap());
    assert_eq!(Waveform::read(set.write("c.WAV", TONE)).unwrap(), read(TONE).unwrap());
}
