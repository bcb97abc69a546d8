//! The samples of an audio file.

use std::{io::BufReader, ops::RangeInclusive, path::Path};

use hound::{SampleFormat, WavReader};

use super::{mp3, resample::Kernel};
use crate::error::{self, Error, Result};
use crate::paper::data::file::{corrupted, extension, open};

/// Plausible sampling rates; a file with another rate has a corrupted header.
const RATES: RangeInclusive<u32> = 1_000..=384_000;
const RATES_TEXT: &str = "1,000 to 384,000 Hz";

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
    /// Reads a `.wav` (8 to 32 bits, or float) or an `.mp3`.
    ///
    /// The encoder delay and padding of an MP3 are removed if its header states them.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened, [`Error::Data`] if it is corrupted, empty or of
    /// another format.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let (interleaved, channels, rate) = match &*extension(path) {
            "wav" => read_wav(path)?,
            "mp3" => mp3::read(path)?,
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

/// Reads interleaved samples, the number of channels and the sampling rate.
fn read_wav(path: &Path) -> Result<(Vec<f32>, usize, u32)> {
    let invalid = |e: hound::Error| corrupted(path, "audio", "a complete WAV file", e);
    let mut reader = WavReader::new(BufReader::new(open(path)?)).map_err(invalid)?;
    let spec = reader.spec();
    let samples: std::result::Result<Vec<f32>, _> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect(),
        SampleFormat::Int => {
            let scale = 1.0 / (1_u64 << (spec.bits_per_sample.max(1) - 1)) as f64;
            reader.samples::<i32>().map(|s| s.map(|s| (f64::from(s) * scale) as f32)).collect()
        }
    };
    Ok((samples.map_err(invalid)?, usize::from(spec.channels).max(1), spec.sample_rate))
}
