//! What is done to a sound before a network sees it.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use super::{LogSpectrogram, Waveform, resample::Kernel, waveform::check_rate};
use crate::{
    error::{self, Result},
    paper::data::{Phase, cache::Bytes},
};

/// The steps from a sound file to a log-spectrogram [1, n_fft/2 + 1, 1 + ⌊kept / hop⌋]:
/// mono, resampled to `rate`, repeated until it has `filled` samples and cut there, a part of `kept`
/// samples taken, clipped to ±1, and [`LogSpectrogram`].
///
/// Where `kept` is below `filled`, training takes the part at random and evaluation from the middle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioRecipe {
    /// Sampling rate in Hz.
    pub rate: u32,
    /// Samples after repeating and cutting.
    pub filled: usize,
    /// Samples of the part that is kept.
    pub kept: usize,
    /// Samples in a window of the transform.
    pub n_fft: usize,
    /// Samples from one window to the next.
    pub hop: usize,
}

impl AudioRecipe {
    /// CREMA-D's: 22,050 Hz, 3 s, n_fft 512, hop 353: [1, 257, 188].
    ///
    /// The authors repeat a clip three times and cut at 3 s, which is the same for every clip of at
    /// least one second; a shorter one is repeated until it fills 3 s too.
    pub fn cremad() -> Self {
        Self { rate: 22_050, filled: 66_150, kept: 66_150, n_fft: 512, hop: 353 }
    }

    /// VGGSound's: 16 kHz, 5 of 10 s, n_fft 256, hop 128: [1, 129, 626].
    ///
    /// The authors take the part at random when testing too; here it is the middle.
    pub fn vggsound() -> Self {
        Self { rate: 16_000, filled: 160_000, kept: 80_000, n_fft: 256, hop: 128 }
    }
}

/// An [`AudioRecipe`] that has been checked and has its filters ready; shared by all workers.
#[derive(Debug)]
pub(in crate::paper::data) struct AudioPipeline {
    recipe: AudioRecipe,
    spectrogram: LogSpectrogram,
    /// By the rate that a file has.
    kernels: Mutex<HashMap<u32, Arc<Kernel>>>,
}

/// What does not depend on chance.
#[derive(Debug)]
pub(in crate::paper::data) enum SteadyAudio {
    /// Resampled, not yet repeated: the part to keep is drawn afterwards.
    Samples(Vec<f32>),
    /// The result.
    Spectrogram(Vec<f32>),
}

impl Bytes for SteadyAudio {
    fn bytes(&self) -> usize {
        let (Self::Samples(values) | Self::Spectrogram(values)) = self;
        size_of_val(&values[..])
    }
}

impl AudioPipeline {
    pub(in crate::paper::data) fn new(recipe: AudioRecipe) -> Result<Self> {
        let AudioRecipe { rate, filled, kept, n_fft, hop } = recipe;
        check_rate(rate)?;
        if kept == 0 || kept > filled {
            return Err(error::config(
                "audio recipe",
                "0 < kept <= filled",
                format!("kept {kept}, filled {filled}"),
                "change them",
            ));
        }
        let spectrogram = LogSpectrogram::new(n_fft, hop)?;
        Ok(Self { recipe, spectrogram, kernels: Mutex::default() })
    }

    /// [1, frequencies, columns]
    pub(in crate::paper::data) fn shape(&self) -> [i64; 3] {
        let [bins, columns] = self.spectrogram.shape(self.recipe.kept);
        [1, bins as i64, columns as i64]
    }

    /// Reads a file and goes as far as chance allows.
    pub(in crate::paper::data) fn steady(&self, path: &Path, phase: Phase) -> Result<SteadyAudio> {
        let wave = Waveform::read(path)?;
        let samples = match wave.rate() == self.recipe.rate {
            true => wave.samples().iter().copied().take(self.recipe.filled).collect(),
            false => self.kernel(wave.rate()).apply(wave.samples(), self.recipe.filled),
        };
        let spare = self.recipe.filled - self.recipe.kept;
        Ok(match phase {
            Phase::Train if spare > 0 => SteadyAudio::Samples(samples),
            _ => SteadyAudio::Spectrogram(self.part(&samples, spare / 2)),
        })
    }

    /// Draws what is left to chance.
    pub(in crate::paper::data) fn finish(
        &self,
        steady: &SteadyAudio,
        rng: &mut dyn RngCore,
        out: &mut Vec<f32>,
    ) {
        match steady {
            SteadyAudio::Spectrogram(values) => out.extend_from_slice(values),
            SteadyAudio::Samples(samples) => {
                let start = rng.random_range(0..=self.recipe.filled - self.recipe.kept);
                out.extend_from_slice(&self.part(samples, start));
            }
        }
    }

    /// The spectrogram of `kept` samples from `start` of the repeated sound.
    fn part(&self, samples: &[f32], start: usize) -> Vec<f32> {
        let repeated = samples.iter().cycle().skip(start % samples.len()).take(self.recipe.kept);
        let part: Vec<f32> = repeated.map(|x| x.clamp(-1.0, 1.0)).collect();
        self.spectrogram.of(&part)
    }

    fn kernel(&self, from: u32) -> Arc<Kernel> {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        kernels.entry(from).or_insert_with(|| Arc::new(Kernel::new(from, self.recipe.rate))).clone()
    }
}
