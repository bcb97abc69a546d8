//! Random crops.

use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// Number of columns to its left.
    pub left: usize,
    /// Number of rows above it.
    pub top: usize,
    /// Number of its columns.
    pub width: usize,
    /// Number of its rows.
    pub height: usize,
}

/// The crop of torchvision's `RandomResizedCrop`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Lower and upper bound of the share of the image's area.
    pub scale: [f64; 2],
    /// Lower and upper bound of width / height.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    /// 8 to 100 % of the area, 3:4 to 4:3.
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

impl RandomResizedCrop {
    /// Draws a crop of an image of `width` × `height` pixels.
    ///
    /// Up to ten times, an area is drawn uniformly and a ratio log-uniformly; the first rectangle that
    /// fits is placed uniformly. If none fits, the crop is the largest centred rectangle with a valid
    /// ratio.
    pub fn draw(&self, width: usize, height: usize, rng: &mut dyn RngCore) -> CropBox {
        let (w, h) = (width as f64, height as f64);
        let [low, high] = self.ratio;
        for _ in 0..10 {
            let area = w * h * rng.random_range(self.scale[0]..=self.scale[1]);
            let ratio = rng.random_range(low.ln()..=high.ln()).exp();
            let crop_width = (area * ratio).sqrt().round() as usize;
            let crop_height = (area / ratio).sqrt().round() as usize;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                let top = rng.random_range(0..=height - crop_height);
                let left = rng.random_range(0..=width - crop_width);
                return CropBox { left, top, width: crop_width, height: crop_height };
            }
        }
        let (crop_width, crop_height) = match w / h {
            ratio if ratio < low => (w, (w / low).round()),
            ratio if ratio > high => ((h * high).round(), h),
            _ => (w, h),
        };
        let crop_width = (crop_width as usize).clamp(1, width.max(1));
        let crop_height = (crop_height as usize).clamp(1, height.max(1));
        let left = width.saturating_sub(crop_width) / 2;
        let top = height.saturating_sub(crop_height) / 2;
        CropBox { left, top, width: crop_width, height: crop_height }
    }

    pub(super) fn check(&self) -> Result<()> {
        let valid = |[low, high]: [f64; 2]| 0.0 < low && low <= high && high.is_finite();
        if valid(self.scale) && self.scale[1] <= 1.0 && valid(self.ratio) {
            return Ok(());
        }
        let expected = "0 < lower bound <= upper bound, and a scale of at most 1";
        Err(error::out_of_range("random crop", expected, format_args!("{self:?}")))
    }
}
