//! Audio: from a file to a log-spectrogram.

mod mp3;
mod resample;
mod spectrogram;
mod transform;
mod waveform;

pub use spectrogram::LogSpectrogram;
pub(super) use transform::AudioPipeline;
pub use transform::AudioTransform;
pub use waveform::Waveform;
