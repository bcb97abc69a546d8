//! From a clip's files to numbers: which steps, and which chance.

use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{
    audio::{AudioPipeline, AudioRecipe},
    cache::Store,
    clips::Clip,
    image::{FramePipeline, FrameRecipe},
};
use crate::error::Result;

/// What is done to a clip's sound and frames.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Sound to spectrogram.
    pub audio: AudioRecipe,
    /// Frames to channels.
    pub visual: FrameRecipe,
}

/// Whether chance has a part in making a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Augmented: random crops, flips, frames and parts of the sound.
    Train,
    /// The same sample every time. Also what a recorded teacher needs, since
    /// [`CachedTeacher`](crate::teacher::Cached) answers by sample id.
    Evaluate,
}

/// Where a sample's chance comes from: the sample in this epoch of this run, and nothing else, so
/// order, batch size, workers and cache make no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The run's seed.
    pub seed: u64,
    /// The epoch.
    pub epoch: u64,
    /// The sample's id.
    pub id: i64,
}

impl Draw {
    /// A generator for one purpose; different purposes get different numbers.
    pub fn generator(self, purpose: u64) -> StdRng {
        let mut seed = [0; 32];
        let words = [self.seed, self.epoch, self.id as u64, purpose];
        for (bytes, word) in seed.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        StdRng::from_seed(seed)
    }
}

const SOUND: u64 = 1;
const FRAMES: u64 = 2;

/// A [`Recipe`] that has been checked, with its filters ready.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub audio: AudioPipeline,
    pub visual: FramePipeline,
    pub phase: Phase,
}

impl Pipeline {
    pub fn new(recipe: &Recipe, phase: Phase) -> Result<Self> {
        let audio = AudioPipeline::new(recipe.audio.clone())?;
        Ok(Self { audio, visual: FramePipeline::new(recipe.visual.clone())?, phase })
    }

    /// Appends a clip's sound and frames to the values of a batch.
    pub fn sample(
        &self,
        clip: &Clip,
        draw: Draw,
        store: &Store,
        [audio, visual]: &mut [Vec<f32>; 2],
    ) -> Result<()> {
        let phase = self.phase;
        let sound = store.sound(clip.id, || self.audio.steady(&clip.audio, phase))?;
        self.audio.finish(&sound, &mut draw.generator(SOUND), audio);
        let mut rng = draw.generator(FRAMES);
        let mut frames = Vec::new();
        for number in self.visual.choose(clip.frames.len(), phase, &mut rng) {
            let read = || self.visual.steady(&clip.frames[number], phase);
            frames.push(store.frame(clip.id, number, read)?);
        }
        self.visual.finish(frames.iter().map(|frame| &**frame), phase, &mut rng, visual);
        Ok(())
    }
}
