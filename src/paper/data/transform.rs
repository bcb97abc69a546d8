//! From the files of a clip to the values of a sample.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::{
    Mode,
    audio::{AudioPipeline, AudioTransform},
    cache::CacheStore,
    clips::Clip,
    image::FrameTransform,
};
use crate::error::Result;

/// The transforms of a clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipTransform {
    /// From audio to a spectrogram.
    pub audio: AudioTransform,
    /// From frames to normalised channels.
    pub visual: FrameTransform,
}

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

    /// Returns the values of a clip's audio and frames. The augmentation draws from `rng` alone, and in
    /// the same order with and without cache.
    pub fn sample(
        &self,
        clip: &Clip,
        rng: &mut StdRng,
        cache: &CacheStore,
    ) -> Result<[Vec<f32>; 2]> {
        let mode = self.mode;
        let mut values =
            self.shapes().map(|shape| Vec::with_capacity(shape.iter().product::<i64>() as usize));
        let [audio, visual] = &mut values;
        let decoded = cache.audio(clip.id, || self.audio.decode(&clip.audio, mode))?;
        self.audio.finish(&decoded, mode, rng, audio);
        let mut frames = Vec::new();
        for number in self.visual.choose(clip.frames.len(), mode, rng) {
            let decode = || self.visual.decode(&clip.frames[number], mode);
            frames.push(cache.frame(clip.id, number, decode)?);
        }
        self.visual.finish(frames.iter().map(|frame| &**frame), mode, rng, visual);
        Ok(values)
    }
}
