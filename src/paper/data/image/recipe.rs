//! What is done to a clip's frames before a network sees them.

use std::{borrow::Cow, path::Path};

use rand::{Rng, RngCore, seq::index};
use serde::{Deserialize, Serialize};

use super::{CropBox, RandomResizedCrop, RgbPicture};
use crate::{
    error::{self, Result},
    paper::data::Phase,
};

/// The steps from a clip's frames to [3, frames, side, side].
///
/// Training takes `frames` different ones at random, in their order, and of each (drawn anew for every
/// frame, as the authors do) a random part resized to `side` × `side`, mirrored at odds `flip`.
/// Evaluation takes the frames in the middles of `frames` equal stretches of the clip, resized whole.
/// Then bytes / 255, minus `mean`, divided by `std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameRecipe {
    /// Frames a sample.
    pub frames: usize,
    /// Pixels on each side.
    pub side: usize,
    /// The random part of training.
    pub crop: RandomResizedCrop,
    /// Odds of a mirrored frame in training.
    pub flip: f64,
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f32; 3],
}

impl FrameRecipe {
    /// The authors': `frames` frames of 224 × 224, ImageNet's mean and standard deviation.
    pub fn imagenet(frames: usize) -> Self {
        Self {
            frames,
            side: 224,
            crop: RandomResizedCrop::default(),
            flip: 0.5,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }

    /// A picture as [3, height, width]: bytes / 255, minus the mean, divided by the deviation.
    pub fn normalised(&self, picture: &RgbPicture) -> Vec<f32> {
        (0..3).flat_map(|channel| self.channel(picture, channel)).collect()
    }

    fn channel<'p>(&self, of: &'p RgbPicture, channel: usize) -> impl Iterator<Item = f32> + 'p {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        of.pixels().chunks_exact(3).map(move |p| (f32::from(p[channel]) / 255.0 - mean) / std)
    }

    fn check(&self) -> Result<()> {
        self.crop.check()?;
        let sound = self.mean.iter().all(|x| x.is_finite())
            && self.std.iter().all(|x| x.is_finite() && *x > 0.0)
            && (0.0..=1.0).contains(&self.flip);
        if self.frames > 0 && self.side > 0 && sound {
            return Ok(());
        }
        Err(error::config(
            "frame recipe",
            "at least 1 frame and 1 pixel, flip in 0..=1, finite means, stds above 0",
            format!("{self:?}"),
            "change it",
        ))
    }
}

/// A [`FrameRecipe`] that has been checked.
#[derive(Debug)]
pub(in crate::paper::data) struct FramePipeline {
    recipe: FrameRecipe,
}

impl FramePipeline {
    pub(in crate::paper::data) fn new(recipe: FrameRecipe) -> Result<Self> {
        recipe.check()?;
        Ok(Self { recipe })
    }

    /// [3, frames, side, side]
    pub(in crate::paper::data) fn shape(&self) -> [i64; 4] {
        let side = self.recipe.side as i64;
        [3, self.recipe.frames as i64, side, side]
    }

    /// Which of `available` frames to show; the index has checked that there are enough.
    pub(in crate::paper::data) fn choose(
        &self,
        available: usize,
        phase: Phase,
        rng: &mut dyn RngCore,
    ) -> Vec<usize> {
        let wanted = self.recipe.frames.min(available);
        match phase {
            Phase::Evaluate => {
                (0..wanted).map(|i| (2 * i + 1) * available / (2 * wanted)).collect()
            }
            Phase::Train => {
                let mut chosen = index::sample(rng, available, wanted).into_vec();
                chosen.sort_unstable();
                chosen
            }
        }
    }

    /// Reads a frame and goes as far as chance allows.
    pub(in crate::paper::data) fn steady(&self, path: &Path, phase: Phase) -> Result<RgbPicture> {
        let picture = RgbPicture::read(path)?;
        Ok(match phase {
            Phase::Train => picture,
            Phase::Evaluate => picture.resized(self.recipe.side, self.recipe.side),
        })
    }

    /// Draws what is left to chance, and appends [3, frames, side, side].
    pub(in crate::paper::data) fn finish<'p>(
        &self,
        steady: impl Iterator<Item = &'p RgbPicture>,
        phase: Phase,
        rng: &mut dyn RngCore,
        out: &mut Vec<f32>,
    ) {
        let frames: Vec<Cow<'p, RgbPicture>> = match phase {
            Phase::Evaluate => steady.map(Cow::Borrowed).collect(),
            Phase::Train => steady.map(|frame| Cow::Owned(self.augmented(frame, rng))).collect(),
        };
        for channel in 0..3 {
            for frame in &frames {
                out.extend(self.recipe.channel(frame, channel));
            }
        }
    }

    fn augmented(&self, frame: &RgbPicture, rng: &mut dyn RngCore) -> RgbPicture {
        let side = self.recipe.side;
        let part: CropBox = self.recipe.crop.draw(frame.width(), frame.height(), rng);
        let mut part = frame.cropped_and_resized(part, side, side);
        if rng.random_bool(self.recipe.flip) {
            for row in part.pixels.chunks_exact_mut(side * 3) {
                let mirrored: Vec<u8> = row.chunks_exact(3).rev().flatten().copied().collect();
                row.copy_from_slice(&mirrored);
            }
        }
        part
    }
}
