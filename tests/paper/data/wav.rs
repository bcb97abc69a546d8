//! WAV files as encoders write them.

use g2d::{Result, paper::data::Waveform};

use crate::support::{TempDataSet, assert_error, assert_mismatch};

/// 0, 1/2, −1/2 and 1/4 as integers of 16 bits.
const SAMPLES: [i16; 4] = [0, 1 << 14, -(1 << 14), 1 << 13];
const EXPECTED: [f32; 4] = [0.0, 0.5, -0.5, 0.25];

fn le<const N: usize, T>(values: &[T], bytes: impl Fn(&T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(bytes).collect()
}

fn data() -> Vec<u8> {
    le(&SAMPLES, |x| x.to_le_bytes())
}

fn chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    sized_chunk(id, content.len() as u32, content)
}

fn sized_chunk(id: &[u8; 4], size: u32, content: &[u8]) -> Vec<u8> {
    [&id[..], &size.to_le_bytes(), content].concat()
}

/// The format chunk of mono audio at 16 kHz in containers of `bytes`.
fn format(tag: u16, bytes: u16, bits: u16, extension: &[u8]) -> Vec<u8> {
    let rate = 16_000_u32;
    let rates = [rate.to_le_bytes(), (rate * u32::from(bytes)).to_le_bytes()].concat();
    let numbers = |values: &[u16]| le(values, |x| x.to_le_bytes());
    chunk(b"fmt ", &[numbers(&[tag, 1]), rates, numbers(&[bytes, bits]), extension.into()].concat())
}

fn pcm() -> Vec<u8> {
    format(1, 2, 16, &[])
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let content = chunks.concat();
    headed(b"RIFF", content.len() as u32 + 4, &content)
}

fn headed(id: &[u8; 4], size: u32, content: &[u8]) -> Vec<u8> {
    [&id[..], &size.to_le_bytes(), b"WAVE", content].concat()
}

fn read(bytes: &[u8]) -> Result<Waveform> {
    Waveform::read(TempDataSet::new().write("a.wav", bytes))
}

#[track_caller]
fn assert_samples(what: &str, bytes: &[u8], expected: &[f32]) {
    let wave = read(bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!((wave.samples(), wave.rate()), (expected, 16_000), "{what}");
}

#[test]
fn chunks_before_and_after_the_audio_are_skipped() {
    let (fmt, data) = (pcm(), chunk(b"data", &data()));
    let list = [chunk(b"LIST", b"INFOISFT\x05\0\0\0tool\0"), vec![0]].concat();
    let unpadded = chunk(b"LIST", b"INFOx");
    let fact = chunk(b"fact", &[4, 0, 0, 0, 0, 0, 0, 0]);
    let junk = chunk(b"JUNK", &[0; 28]);
    for (what, chunks) in [
        ("an odd LIST", vec![fmt.clone(), list.clone(), data.clone()]),
        ("an odd LIST without its padding", vec![fmt.clone(), unpadded, data.clone()]),
        ("a fact of 8 bytes", vec![fmt.clone(), fact, data.clone()]),
        ("a chunk before the format", vec![junk, fmt.clone(), data.clone()]),
        ("a LIST after the audio", vec![fmt.clone(), data.clone(), list]),
        ("bytes after the audio", vec![fmt, data, vec![0; 3]]),
    ] {
        assert_samples(what, &file(&chunks), &EXPECTED);
    }
}

#[test]
fn a_file_written_to_a_pipe_is_read_to_its_end() {
    let unknown = |riff, data_size| {
        headed(b"RIFF", riff, &[pcm(), sized_chunk(b"data", data_size, &data())].concat())
    };
    for (what, riff, size) in [
        ("FFmpeg", u32::MAX, u32::MAX),
        ("SoX", 0x7fff_f024, 0x7fff_f000),
        ("zeros", 0, 0),
        ("an encoder that ended before it wrote the sizes", 36, 0),
    ] {
        assert_samples(what, &unknown(riff, size), &EXPECTED);
    }
    // The same size in a header that fits: no audio.
    assert_error(read(&file(&[pcm(), chunk(b"data", &[])])), &["at least one sample"]);
}

#[test]
fn rf64_and_bw64_have_their_sizes_in_a_chunk_of_their_own() {
    let sizes: Vec<u8> = le(&[100_u64, 8, 4], |x| x.to_le_bytes());
    let ds64 = chunk(b"ds64", &[sizes, vec![0; 4]].concat());
    let content = [ds64, pcm(), sized_chunk(b"data", u32::MAX, &data())].concat();
    for id in [b"RF64", b"BW64"] {
        assert_samples("RF64", &headed(id, u32::MAX, &content), &EXPECTED);
        let cut = headed(id, u32::MAX, &content[..content.len() - 2]);
        assert_error(read(&cut), &["complete WAV", "6 of the 8 bytes"]);
    }
}

/// µ-law and A-law: the values of G.711.
#[test]
fn every_format_of_uncompressed_samples_is_read() {
    let bytes32 = le(&EXPECTED, |x| x.to_le_bytes());
    let bytes64 = le(&EXPECTED, |x| f64::from(*x).to_le_bytes());
    let wide = |bytes: usize| -> Vec<u8> {
        let wide = EXPECTED.map(|x| ((f64::from(x) * 2_147_483_648.0) as i32).to_le_bytes());
        wide.iter().flat_map(|value| value[4 - bytes..].to_vec()).collect()
    };
    let guid = b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
    let extensible =
        |valid: u8, tag: u8| [&[22, 0, valid, 0, 4, 0, 0, 0, tag, 0], &guid[..]].concat();
    for (what, fmt, data) in [
        ("8 bits", format(1, 1, 8, &[]), vec![128, 192, 64, 160]),
        ("24 bits", format(1, 3, 24, &[]), wide(3)),
        ("32 bits", format(1, 4, 32, &[]), wide(4)),
        ("20 in 24 bits", format(0xfffe, 3, 24, &extensible(20, 1)), wide(3)),
        ("24 in 32 bits", format(0xfffe, 4, 32, &extensible(24, 1)), wide(4)),
        ("24 in 32 bits by the block alone", format(1, 4, 24, &[]), wide(4)),
        ("floats of 32 bits", format(3, 4, 32, &[0, 0]), bytes32.clone()),
        ("extensible floats", format(0xfffe, 4, 32, &extensible(32, 3)), bytes32),
        ("floats of 64 bits", format(3, 8, 64, &[]), bytes64),
        ("one byte more than whole samples", pcm(), [self::data(), vec![9]].concat()),
    ] {
        assert_samples(what, &file(&[fmt, chunk(b"data", &data)]), &EXPECTED);
    }
    // Some encoders align 24 bits right in their 32, with zeros or the sign above them.
    let narrow = [0x0040_0001_i32, 0x00c0_0001, -0x0040_0000];
    let right = chunk(b"data", &le(&narrow, |x| x.to_le_bytes()));
    let values = [4_194_305.0, -4_194_303.0, -4_194_304.0].map(|x: f32| x / 8_388_608.0);
    for fmt in [format(1, 4, 24, &[]), format(0xfffe, 4, 32, &extensible(24, 1))] {
        assert_samples("24 in 32 bits, right", &file(&[fmt, right.clone()]), &values);
    }
    let coded = chunk(b"data", &[0xff, 0x80, 0x00, 0xb8]);
    let mu_law = [0.0, 32_124.0, -32_124.0, 2_876.0].map(|x| x / 32_768.0);
    assert_samples("µ-law", &file(&[format(7, 1, 8, &[0, 0]), coded]), &mu_law);
    let coded = chunk(b"data", &[0xd5, 0x55, 0xaa, 0x2a]);
    let a_law = [8.0, -8.0, 32_256.0, -32_256.0].map(|x| x / 32_768.0);
    assert_samples("A-law", &file(&[format(6, 1, 8, &[0, 0]), coded]), &a_law);
    // The byte rate is of no use, and a block of 0 bytes is computed.
    let mut rate = file(&[pcm(), chunk(b"data", &data())]);
    rate[28..34].fill(0);
    assert_samples("byte rate and block of 0", &rate, &EXPECTED);
}

#[test]
fn a_file_without_all_the_audio_that_it_states_is_damaged() {
    let whole = file(&[pcm(), chunk(b"data", &data())]);
    for (keep, found) in [
        (whole.len() - 1, "7 of the 8 bytes"),
        (40, "no data chunk"),
        (30, "\"fmt \""),
        (10, "no known format"),
    ] {
        assert_mismatch(read(&whole[..keep]), &["complete WAV", found]);
    }
    assert_error(read(&file(&[chunk(b"data", &data())])), &["no format before the data"]);
    // The header of the file tells that nothing is missing.
    let size_of_file = file(&[pcm(), sized_chunk(b"data", 44, &data())]);
    assert_samples("a size that is too large", &size_of_file, &EXPECTED);
}

#[test]
fn a_form_that_is_not_supported_is_named_and_not_called_damaged() {
    let coded = |tag, bytes, bits| file(&[format(tag, bytes, bits, &[]), chunk(b"data", &[0; 64])]);
    for (bytes, form) in [
        (coded(0x11, 1, 4), "ADPCM (format tag 0x0011)"),
        (coded(0x55, 1, 0), "MP3 in WAV"),
        (coded(3, 2, 16), "float samples (format tag 0x0003), 16 bits"),
        (coded(1, 8, 64), "integer samples (format tag 0x0001), 64 bits"),
        (b"fLaC\0\0\0\x22".to_vec(), "a FLAC file"),
        (b"RIFX\0\0\0\0WAVE".to_vec(), "big-endian"),
    ] {
        let error = assert_mismatch(read(&bytes), &[form, "not supported", "convert"]);
        assert!(!error.to_string().contains("complete"), "{error}");
    }
}

#[test]
fn floats_of_another_full_scale_are_an_error_that_names_their_range() {
    let floats = |values: &[f32]| {
        let data = le(values, |x| x.to_le_bytes());
        read(&file(&[format(3, 4, 32, &[]), chunk(b"data", &data)]))
    };
    assert_mismatch(floats(&[0.0, 29_340.0, -7.0]), &["full scale ±1", "29340", "32768"]);
    assert_mismatch(floats(&[0.0, 3.0, -2.0]), &["up to 3", "32768"]);
    assert_mismatch(floats(&[0.5, 20_000.25]), &["up to 20000.25", "divide"]);
    // Recordings in floats exceed full scale.
    assert_eq!(floats(&[0.5, -1.25]).unwrap().samples(), [0.5, -1.25]);
    assert_eq!(floats(&[1.0, -1.0, 0.0]).unwrap().samples(), [1.0, -1.0, 0.0]);
}
