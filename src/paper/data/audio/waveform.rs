//! The samples of an audio file.

use std::{ops::RangeInclusive, path::Path};

use super::{codec::Interleaved, mp3, resample::Kernel, wav};
use crate::error::{self, Error, Result};
use crate::paper::data::file::{Refusal, bytes, corrupted, extension};

/// Plausible sampling rates; a file with another rate has a corrupted header.
const RATES: RangeInclusive<u32> = 1_000..=384_000;
const RATES_TEXT: &str = "1,000 to 384,000 Hz";

/// The largest sample of full scale ±1: floats may exceed full scale, by 24 dB here, but not by the
/// factor 32,768 of integers that were saved as floats.
const PEAK: f32 = 16.0;

/// Mono samples, full scale ±1, at a sampling rate.
///
/// Integer samples are divided by 2^(bits − 1) and channels are averaged, in this order and before any
/// resampling, as in librosa.
#[derive(Debug, Clone, PartialEq)]
pub struct Waveform {
    samples: Vec<f32>,
    rate: u32,
}

impl Waveform {
    /// Reads a `.wav` or an `.mp3`.
    ///
    /// - WAV: integers of 8, 16, 24 and 32 bits (and fewer bits in these), floats of 32 and 64 bits,
    ///   µ-law, A-law; as RIFF, RF64 or BW64, plain or extensible. A file whose header has no sizes,
    ///   as encoders write it to a pipe, is read to its end; otherwise all bytes that the header states
    ///   must be there.
    /// - MP3: layer III of a constant number of channels. Tags and cover art are skipped. The encoder
    ///   delay and padding are removed if the header of LAME or FFmpeg states them. Every frame must
    ///   decode, and there must be as many as the Xing, Info or VBRI header states; a file without
    ///   this header that was cut between two frames cannot be recognised.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened; [`Error::Data`] if it is damaged, empty, of another
    /// format, or in a form that is not supported, or if its samples exceed full scale by more than
    /// 24 dB.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (read, format) = match &*extension(path) {
            "wav" | "wave" => (read(&bytes(path)?), "WAV file"),
            "mp3" => (read(&bytes(path)?), "MP3 file"),
            other => {
                let found = format!("{other:?}");
                return Err(Error::data(
                    path,
                    "extension",
                    ".wav or .mp3",
                    found,
                    "convert the file",
                ));
            }
        };
        let Interleaved { samples: interleaved, channels, rate } =
            read.map_err(|refusal| refusal.error(path, "audio", format))?;
        if !RATES.contains(&rate) {
            return Err(corrupted(path, "sampling rate", RATES_TEXT, rate));
        }
        if interleaved.len() < channels {
            return Err(corrupted(path, "audio", "at least one sample", "none"));
        }
        if let Some(i) = interleaved.iter().position(|x| !x.is_finite()) {
            let found = format!("{} at {i}", interleaved[i]);
            return Err(corrupted(path, "audio", "finite samples", found));
        }
        check_scale(path, &interleaved)?;
        let share = 1.0 / channels as f32;
        let samples =
            interleaved.chunks_exact(channels).map(|c| c.iter().sum::<f32>() * share).collect();
        Ok(Self { samples, rate })
    }

    /// Returns the samples.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Returns the sampling rate in Hz.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Resamples n samples to ⌈n · rate / own rate⌉ samples at `rate` Hz.
    ///
    /// The filter is a Kaiser-windowed sinc with the band edges and attenuation of soxr's high
    /// quality, librosa's default: it passes 91.4 % of the lower Nyquist frequency and attenuates by
    /// 126 dB above it. Log-spectrograms agree with librosa's to 1e-4 in voiced bins, and to 0.02 in
    /// mean and standard deviation over all bins. Each call computes the filter anew.
    ///
    /// # Errors
    /// [`Error::Config`] for a rate outside 1,000 to 384,000 Hz.
    pub fn resampled(&self, rate: u32) -> Result<Self> {
        check_rate(rate)?;
        let samples = match rate == self.rate {
            true => self.samples.clone(),
            false => Kernel::new(self.rate, rate).apply(&self.samples, usize::MAX),
        };
        Ok(Self { samples, rate })
    }
}

/// Checks a rate to resample to.
pub(super) fn check_rate(rate: u32) -> Result<()> {
    match RATES.contains(&rate) {
        true => Ok(()),
        false => Err(error::out_of_range("sampling rate", RATES_TEXT, rate)),
    }
}

/// Reads a file by its content: a WAV file, or else an MP3.
fn read(file: &[u8]) -> std::result::Result<Interleaved, Refusal> {
    let is_wav = file.get(8..12) == Some(b"WAVE");
    match file.get(..4) {
        Some(b"RIFF" | b"RF64" | b"BW64") if is_wav => wav::read(file),
        _ => mp3::read(file),
    }
}

/// Checks that finite samples have the full scale ±1.
fn check_scale(path: &Path, samples: &[f32]) -> Result<()> {
    let peak = samples.iter().fold(0.0_f32, |peak, x| peak.max(x.abs()));
    let are_integers = || samples.iter().all(|x| x.fract() == 0.0);
    if peak <= 1.0 || (peak <= PEAK && !are_integers()) {
        return Ok(());
    }
    let (expected, found) = ("floats of full scale ±1", format!("samples up to {peak}"));
    let hint = match are_integers() {
        true => "divide the integers by their full scale, 32768 for 16 bits, before saving floats",
        false => "divide the samples by their full scale",
    };
    Err(Error::data(path, "audio", expected, found, hint))
}
