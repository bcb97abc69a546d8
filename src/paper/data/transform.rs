//! From the files of a clip to the values of a sample.

use rand::{SeedableRng, rngs::StdRng};
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

/// The seed of a sample's augmentation. It depends on the run's seed, the epoch and the sample's id
/// only, so that order, batch size, workers and cache do not change the sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct SampleSeed {
    pub seed: u64,
    pub epoch: u64,
    pub id: i64,
}

impl SampleSeed {
    /// One of the sample's independent generators.
    fn generator(self, stream: u64) -> StdRng {
        let mut seed = [0; 32];
        let words = [self.seed, self.epoch, self.id as u64, stream];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        StdRng::from_seed(seed)
    }
}

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
    pub fn sample(
        &self,
        clip: &Clip,
        seed: SampleSeed,
        cache: &CacheStore,
        [audio, visual]: &mut [Vec<f32>; 2],
    ) -> Result<()> {
        let mode = self.mode;
        let decoded = cache.audio(clip.id, || self.audio.decode(&clip.audio, mode))?;
        self.audio.finish(&decoded, &mut seed.generator(AUDIO_STREAM), audio);
        let mut rng = seed.generator(FRAME_STREAM);
        let mut frames = Vec::new();
        for number in self.visual.choose(clip.frames.len(), mode, &mut rng) {
            let decode = || self.visual.decode(&clip.frames[number], mode);
            frames.push(cache.frame(clip.id, number, decode)?);
        }
        self.visual.finish(frames.iter().map(|frame| &**frame), mode, &mut rng, visual);
        Ok(())
    }
}
