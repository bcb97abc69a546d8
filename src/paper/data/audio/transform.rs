//! The transform of a clip's audio.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use super::{LogSpectrogram, Waveform, resample::Kernel, waveform::check_rate};
use crate::error::{self, Result};
use crate::paper::data::mode::Mode;

/// From an audio file to a log-spectrogram [1, n_fft/2 + 1, 1 + ⌊kept / hop⌋].
///
/// The audio is averaged to mono, resampled to `rate`, repeated until it has `filled` samples and cut
/// there; a segment of `kept` samples is clipped to ±1 and transformed by [`LogSpectrogram`]. The
/// segment is at a random position in training and in the middle in evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioTransform {
    /// Sampling rate in Hz.
    pub rate: u32,
    /// Number of samples after repeating and cutting.
    pub filled: usize,
    /// Number of samples of the segment.
    pub kept: usize,
    /// Number of samples in a window of the Fourier transform.
    pub n_fft: usize,
    /// Number of samples between the starts of two windows.
    pub hop: usize,
}

impl AudioTransform {
    /// CREMA-D's transform: 22,050 Hz, 3 s, n_fft 512, hop 353; the result is [1, 257, 188].
    ///
    /// The authors repeat a clip three times and cut it at 3 s, which is equal for every clip of at
    /// least one second; a shorter clip is repeated until it fills 3 s too.
    pub fn cremad() -> Self {
        Self { rate: 22_050, filled: 66_150, kept: 66_150, n_fft: 512, hop: 353 }
    }

    /// VGGSound's transform: 16 kHz, 5 of 10 s, n_fft 256, hop 128; the result is [1, 129, 626].
    ///
    /// The authors take a random segment in evaluation too.
    pub fn vggsound() -> Self {
        Self { rate: 16_000, filled: 160_000, kept: 80_000, n_fft: 256, hop: 128 }
    }
}

/// A valid [`AudioTransform`] with its filters computed; shared by all workers.
#[derive(Debug)]
pub(crate) struct AudioPipeline {
    transform: AudioTransform,
    spectrogram: LogSpectrogram,
    /// The resampling filters by the rate of the file.
    kernels: Mutex<HashMap<u32, Arc<Kernel>>>,
}

impl AudioPipeline {
    pub fn new(transform: AudioTransform) -> Result<Self> {
        let AudioTransform { rate, filled, kept, n_fft, hop } = transform;
        check_rate(rate)?;
        if kept == 0 || kept > filled {
            let found = format!("kept {kept}, filled {filled}");
            return Err(error::out_of_range("audio transform", "0 < kept <= filled", found));
        }
        let spectrogram = LogSpectrogram::new(n_fft, hop)?;
        Ok(Self { transform, spectrogram, kernels: Mutex::default() })
    }

    /// The shape [1, frequencies, columns] of the result.
    pub fn shape(&self) -> [i64; 3] {
        let [bins, columns] = self.spectrogram.shape(self.transform.kept);
        [1, bins as i64, columns as i64]
    }

    /// Reads a file and applies the deterministic steps: up to the spectrogram, or, for a random
    /// segment, up to the resampled audio.
    pub fn decode(&self, path: &Path, mode: Mode) -> Result<Vec<f32>> {
        let wave = Waveform::read(path)?;
        let AudioTransform { rate, filled, kept, .. } = self.transform;
        let samples: Vec<f32> = match wave.rate() == rate {
            true => wave.samples().iter().copied().take(filled).collect(),
            false => self.kernel(wave.rate()).apply(wave.samples(), filled),
        };
        let middle = (filled - kept) / 2;
        Ok(if self.is_random(mode) { samples } else { self.segment(&samples, middle) })
    }

    /// Applies the random steps and appends the spectrogram to `out`.
    pub fn finish(&self, decoded: &[f32], mode: Mode, rng: &mut dyn RngCore, out: &mut Vec<f32>) {
        if self.is_random(mode) {
            let start = rng.random_range(0..=self.transform.filled - self.transform.kept);
            out.extend_from_slice(&self.segment(decoded, start));
        } else {
            out.extend_from_slice(decoded);
        }
    }

    /// Returns whether the segment is at a random position.
    fn is_random(&self, mode: Mode) -> bool {
        mode == Mode::Train && self.transform.filled > self.transform.kept
    }

    /// The spectrogram of `kept` samples from `start` of the repeated audio.
    fn segment(&self, samples: &[f32], start: usize) -> Vec<f32> {
        let repeated = samples.iter().cycle().skip(start % samples.len());
        let segment: Vec<f32> =
            repeated.take(self.transform.kept).map(|x| x.clamp(-1.0, 1.0)).collect();
        self.spectrogram.compute(&segment)
    }

    fn kernel(&self, from: u32) -> Arc<Kernel> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Kernel::new(from, self.transform.rate));
        kernels.entry(from).or_insert_with(new).clone()
    }
}
