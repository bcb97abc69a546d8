//! Sound: from a file to a log-spectrogram.

mod mp3;
mod recipe;
mod resample;
mod spectrogram;
mod waveform;

pub use recipe::AudioRecipe;
pub(super) use recipe::{AudioPipeline, SteadyAudio};
pub use spectrogram::LogSpectrogram;
pub use waveform::Waveform;
