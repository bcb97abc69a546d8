//! Clips as a data set of transformed samples.

use rand::rngs::StdRng;
use tch::Tensor;

use super::{
    Mode,
    cache::{CacheStore, ClipCache},
    clips::Clips,
    file::tensor,
    transform::{ClipTransform, Pipeline},
};
use crate::data::{Dataset, Sample};
use crate::error::{self, Result};

/// Clips that are decoded and transformed when a [`Loader`](crate::data::Loader) reads them: inputs
/// [1, frequencies, columns] of audio and [3, frames, side, side] of frames, `Float`, in this order; the
/// label as target; the clip's id.
///
/// A sample depends on the clip and the loader's seed and epoch only, bit by bit: not on the cache.
#[derive(Debug)]
pub struct ClipDataset {
    clips: Clips,
    pipeline: Pipeline,
    cache: CacheStore,
}

impl ClipDataset {
    /// The data set of `clips`, with augmentation in [`Mode::Train`].
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid transform, or clips with fewer frames than
    /// the transform takes.
    pub fn new(
        clips: Clips,
        transform: &ClipTransform,
        mode: Mode,
        cache: ClipCache,
    ) -> Result<Self> {
        let pipeline = Pipeline::new(transform, mode)?;
        let frames = transform.visual.frames;
        if let Some(clip) = clips.clips().iter().find(|clip| clip.frames.len() < frames) {
            let expected =
                format!("at most {}, the number of clip {:?}", clip.frames.len(), clip.name);
            let hint = "set this number with `with_frames` of the data set";
            return Err(error::config("frames of the transform", expected, frames, hint));
        }
        Ok(Self { clips, pipeline, cache: CacheStore::new(cache) })
    }

    /// Returns the clips.
    pub fn clips(&self) -> &Clips {
        &self.clips
    }

    /// Returns the number of bytes in the cache.
    pub fn cached_bytes(&self) -> usize {
        self.cache.bytes()
    }
}

impl Dataset for ClipDataset {
    fn len(&self) -> usize {
        self.clips.len()
    }

    fn id(&self, index: usize) -> i64 {
        self.clips.clips()[index].id
    }

    fn sample(&self, index: usize, rng: &mut StdRng) -> Result<Sample> {
        let clip = &self.clips.clips()[index];
        let values = self.pipeline.sample(clip, rng, &self.cache)?;
        let shapes = self.pipeline.shapes();
        let input = |m: usize| -> Result<Tensor> { tensor(&values[m], &shapes[m]) };
        Ok(Sample::new(clip.label).input(input(0)?).input(input(1)?))
    }
}
