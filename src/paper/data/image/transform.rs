//! The transform of a clip's frames.

use std::{borrow::Cow, path::Path};

use rand::{Rng, RngCore, seq::index};
use serde::{Deserialize, Serialize};

use super::{RandomResizedCrop, RgbPicture};
use crate::error::{self, Result};
use crate::paper::data::mode::Mode;

/// From a clip's frames to [3, frames, side, side].
///
/// Training takes `frames` different frames at random, in temporal order; each is cropped at random
/// (independently, as in the authors' code), resized to `side` × `side`, and flipped horizontally with
/// probability `flip`. Evaluation takes the middle frames of `frames` equal segments of the clip and
/// resizes them whole. The bytes are then divided by 255 and normalised with `mean` and `std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameTransform {
    /// Number of frames per sample.
    pub frames: usize,
    /// Height and width in pixels.
    pub side: usize,
    /// The random crop in training.
    pub crop: RandomResizedCrop,
    /// Probability of a horizontal flip in training.
    pub flip: f64,
    /// Mean of red, green and blue, each of 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, each above 0 and up to 1.
    pub std: [f32; 3],
}

impl FrameTransform {
    /// The authors' transform: `frames` frames of 224 × 224, ImageNet's mean and standard deviation.
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

    /// Normalises an image: (bytes / 255 − mean) / std, [3, height, width].
    pub fn normalised(&self, image: &RgbPicture) -> Vec<f32> {
        (0..3).flat_map(|channel| self.channel(image, channel)).collect()
    }

    fn channel<'p>(&self, of: &'p RgbPicture, channel: usize) -> impl Iterator<Item = f32> + 'p {
        let (mean, std) = (self.mean[channel], self.std[channel]);
        of.pixels().chunks_exact(3).map(move |p| (f32::from(p[channel]) / 255.0 - mean) / std)
    }

    pub(crate) fn check(&self) -> Result<()> {
        self.crop.check()?;
        let valid = self.mean.iter().all(|x| (0.0..=1.0).contains(x))
            && self.std.iter().all(|x| *x > 0.0 && *x <= 1.0)
            && (0.0..=1.0).contains(&self.flip);
        if self.frames > 0 && self.side > 0 && valid {
            return Ok(());
        }
        let expected = "at least 1 frame and 1 pixel, flip in 0..=1, and means in 0..=1 and stds in \
                        0..=1, above 0, of pixels that were divided by 255";
        Err(error::out_of_range("frame transform", expected, format_args!("{self:?}")))
    }

    /// The shape [3, frames, side, side] of the result.
    pub(crate) fn shape(&self) -> [i64; 4] {
        let side = self.side as i64;
        [3, self.frames as i64, side, side]
    }

    /// Chooses from `available` frames, at least as many as a sample needs.
    pub(crate) fn choose(&self, available: usize, mode: Mode, rng: &mut dyn RngCore) -> Vec<usize> {
        let wanted = self.frames.min(available);
        match mode {
            Mode::Evaluate => (0..wanted).map(|i| (2 * i + 1) * available / (2 * wanted)).collect(),
            Mode::Train => {
                let mut chosen = index::sample(rng, available, wanted).into_vec();
                chosen.sort_unstable();
                chosen
            }
        }
    }

    /// Reads a frame and applies the deterministic steps.
    pub(crate) fn decode(&self, path: &Path, mode: Mode) -> Result<RgbPicture> {
        let image = RgbPicture::read(path)?;
        Ok(match mode {
            Mode::Train => image,
            Mode::Evaluate => image.resized(self.side, self.side),
        })
    }

    /// Applies the random steps, normalises, and appends [3, frames, side, side] to `out`.
    pub(crate) fn finish<'p>(
        &self,
        decoded: impl Iterator<Item = &'p RgbPicture>,
        mode: Mode,
        rng: &mut dyn RngCore,
        out: &mut Vec<f32>,
    ) {
        let frames: Vec<Cow<'p, RgbPicture>> = match mode {
            Mode::Evaluate => decoded.map(Cow::Borrowed).collect(),
            Mode::Train => decoded.map(|frame| Cow::Owned(self.augmented(frame, rng))).collect(),
        };
        for channel in 0..3 {
            for frame in &frames {
                out.extend(self.channel(frame, channel));
            }
        }
    }

    fn augmented(&self, frame: &RgbPicture, rng: &mut dyn RngCore) -> RgbPicture {
        let Self { side, crop, flip, .. } = *self;
        let crop = crop.draw(frame.width(), frame.height(), rng);
        let mut augmented = frame.cropped_and_resized(crop, side, side);
        if rng.random_bool(flip) {
            augmented.flip_horizontally();
        }
        augmented
    }
}
