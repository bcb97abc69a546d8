//! From the files of a clip to the values of a sample.

use serde::{Deserialize, Serialize};

use super::{
    Mode,
    audio::{AudioPipeline, AudioTransform},
    cache::CacheStore,
    clips::Clip,
    image::FrameTransform,
};
use crate::error::Result;
use crate::paper::random::generator;

/// The transforms of a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipTransform {
    /// From audio to a spectrogram.
    pub audio: AudioTransform,
    /// From frames to normalised channels.
    pub visual: FrameTransform,
}

/// Streams of a sample's random generators.
const AUDIO_STREAM: u64 = 1;
const FRAME_STREAM: u64 = 2;

/// A valid [`ClipTransform`] with its filters computed.
#[derive(Debug)]
pub(super) struct Pipeline {
    audio: AudioPipeline,
    visual: FrameTransform,
    mode: Mode,
}

impl Pipeline {
    pub fn new(transform: &ClipTransform, mode: Mode) -> Result<Self> {
        let ClipTransform { audio, visual } = transform.clone();
        visual.check()?;
        Ok(Self { audio: AudioPipeline::new(audio)?, visual, mode })
    }

    /// The shapes of a sample's audio and frames.
    pub fn shapes(&self) -> [Vec<i64>; 2] {
        [self.audio.shape().into(), self.visual.shape().into()]
    }

    /// Appends a clip's audio and frames to the values of a batch.
    ///
    /// The augmentation depends on the run's seed, the epoch and the clip's id only, so that order,
    /// batch size, workers and cache do not change the sample.
    pub fn sample(
        &self,
        clip: &Clip,
        [seed, epoch]: [u64; 2],
        cache: &CacheStore,
        [audio, visual]: &mut [Vec<f32>; 2],
    ) -> Result<()> {
        let mode = self.mode;
        let rng = |stream| generator([seed, epoch, clip.id as u64, stream]);
        let decoded = cache.audio(clip.id, || self.audio.decode(&clip.audio, mode))?;
        self.audio.finish(&decoded, mode, &mut rng(AUDIO_STREAM), audio);
        let mut rng = rng(FRAME_STREAM);
        let mut frames = Vec::new();
        for number in self.visual.choose(clip.frames.len(), mode, &mut rng) {
            let decode = || self.visual.decode(&clip.frames[number], mode);
            frames.push(cache.frame(clip.id, number, decode)?);
        }
        self.visual.finish(frames.iter().map(|frame| &**frame), mode, &mut rng, visual);
        Ok(())
    }
}
