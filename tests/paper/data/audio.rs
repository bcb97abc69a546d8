//! WAV, MP3, resampling and spectrograms of generated files.

use std::f64::consts::TAU;

use g2d::paper::data::{LogSpectrogram, Waveform};

use crate::support::{TempDataSet, assert_error, assert_near};

#[test]
fn channels_are_averaged_and_integers_scaled() {
    let set = TempDataSet::new();
    let path = set.wav_from_samples("two.wav", 8_000, 2, &[16384, 0, -32768, -32768, 100, -100]);
    let wave = Waveform::read(path).unwrap();
    assert_eq!(wave.samples(), [0.25, -1.0, 0.0]);
    assert_eq!(wave.rate(), 8_000);
}

#[test]
fn samples_of_8_16_24_and_32_bits_are_scaled_alike() {
    let set = TempDataSet::new();
    for (bits, format, value) in [
        (8, hound::SampleFormat::Int, 64),
        (16, hound::SampleFormat::Int, 1 << 14),
        (24, hound::SampleFormat::Int, 1 << 22),
        (32, hound::SampleFormat::Int, 1 << 30),
    ] {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: bits,
            sample_format: format,
        };
        let path = set.path().join(format!("{bits}.wav"));
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        writer.write_sample(value).unwrap();
        writer.finalize().unwrap();
        assert_eq!(Waveform::read(path).unwrap().samples(), [0.5], "{bits} bits");
    }
}

/// ```python
/// librosa.load("tone.mp3", sr=None)  # librosa 0.11: 12,672 samples, and these from number 3,000 on
/// ```
#[test]
fn mp3_decoding_agrees_with_librosa() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/paper/fixtures/tone.mp3");
    let wave = Waveform::read(path).unwrap();
    assert_eq!((wave.rate(), wave.samples().len()), (22_050, 12_672));
    let expected = [-0.4369787, -0.41029245, -0.37714946, -0.3380779, -0.2937045];
    assert_near("tone.mp3", &wave.samples()[3_000..3_005], &expected, 1e-4);
}

#[test]
fn resampling_keeps_tones_below_the_new_nyquist_frequency_and_removes_others() {
    let set = TempDataSet::new();
    let tone = |hertz: f64, rate: f64, i: usize| 0.5 * (TAU * hertz * i as f64 / rate).sin();
    for (from, to) in
        [(16_000_u32, 22_050_u32), (44_100, 16_000), (48_000, 22_050), (8_000, 16_000)]
    {
        let samples = |hertz: f64| -> Vec<i16> {
            let at = |i| (tone(hertz, f64::from(from), i) * 32768.0).round() as i16;
            (0..from as usize).map(at).collect()
        };
        let path = set.wav_from_samples("low.wav", from, 1, &samples(1_234.5));
        let low = Waveform::read(path).unwrap().resampled(to).unwrap();
        assert_eq!(low.samples().len(), to as usize);
        for i in to as usize / 4..to as usize * 3 / 4 {
            let error = (f64::from(low.samples()[i]) - tone(1_234.5, f64::from(to), i)).abs();
            assert!(error < 5e-5, "{from} to {to}: sample {i} has the error {error}");
        }
        if to < from {
            let path = set.wav_from_samples("high.wav", from, 1, &samples(f64::from(to) * 0.55));
            let high = Waveform::read(path).unwrap().resampled(to).unwrap();
            let middle = &high.samples()[to as usize / 4..to as usize * 3 / 4];
            let loudest = middle.iter().fold(0.0_f32, |a, x| a.max(x.abs()));
            assert!(loudest < 5e-5, "{from} to {to}: {loudest} is left");
        }
    }
}

/// The spectrogram has `1 + n // hop` columns. Bin 0 of a constant is the sum of the window, half of
/// n_fft.
#[test]
fn the_spectrogram_of_a_constant_is_the_spectrum_of_the_window() {
    let spectrogram = LogSpectrogram::new(8, 3).unwrap();
    let values = spectrogram.compute(&[1.0; 20]);
    assert_eq!(spectrogram.shape(20), [5, 7]);
    assert_eq!(values.len(), 35);
    let middle: Vec<f32> = (0..5).map(|bin| values[bin * 7 + 3].exp()).collect();
    for (found, expected) in middle.iter().zip([4.0, 2.0, 0.0, 0.0, 0.0]) {
        assert!((found - expected).abs() < 1e-5, "{middle:?}");
    }
    // The first column has four zeros, then the second half of the window: 1 + .854 + .5 + .146.
    assert!((values[0].exp() - 2.5).abs() < 1e-5, "{}", values[0].exp());
}

#[test]
fn invalid_sound_is_an_error_with_its_path() {
    let set = TempDataSet::new();
    set.wav("whole.wav", 8_000, 0.2, 1);
    let bytes = std::fs::read(set.path().join("whole.wav")).unwrap();
    let truncated = set.write("truncated.wav", &bytes[..bytes.len() / 2]);
    assert_error(Waveform::read(&truncated), &["truncated.wav", "complete WAV"]);
    let text = set.write("text.wav", "not a sound");
    assert_error(Waveform::read(&text), &["text.wav", "complete WAV"]);
    let text = set.write("text.mp3", "not a sound either");
    assert_error(Waveform::read(&text), &["text.mp3", "complete MP3"]);
    let none = set.wav_from_samples("none.wav", 8_000, 1, &[]);
    assert_error(Waveform::read(&none), &["none.wav", "at least one sample"]);
    let slow = set.wav_from_samples("slow.wav", 10, 1, &[1, 2, 3]);
    assert_error(Waveform::read(&slow), &["slow.wav", "sampling rate", "found 10"]);
    assert_error(Waveform::read(set.path().join("a.flac")), &["a.flac", ".wav or .mp3"]);
    assert_error(Waveform::read(set.path().join("gone.wav")), &["gone.wav", "open the file"]);
    assert_error(LogSpectrogram::new(7, 3), &["n_fft 7"]);
    assert_error(LogSpectrogram::new(8, 0), &["hop 0"]);
    let whole = Waveform::read(set.path().join("whole.wav")).unwrap();
    assert_error(whole.resampled(0), &["sampling rate", "found 0"]);
}
