//! Audio: from a file to a log-spectrogram.

mod codec;
mod mp3;
mod mpeg;
mod resample;
mod spectrogram;
mod transform;
mod wav;
mod waveform;

pub use spectrogram::LogSpectrogram;
pub(super) use transform::AudioPipeline;
pub use transform::AudioTransform;
pub use waveform::Waveform;
