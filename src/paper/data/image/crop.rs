//! A random part of a picture.

use rand::{Rng, RngCore};
use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropBox {
    /// Columns left of it.
    pub left: usize,
    /// Rows above it.
    pub top: usize,
    /// Its columns.
    pub width: usize,
    /// Its rows.
    pub height: usize,
}

/// torchvision's `RandomResizedCrop`: which part of a picture to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Least and greatest share of the picture's area.
    pub scale: [f64; 2],
    /// Least and greatest width / height.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    /// 8 to 100 % of the area, 3:4 to 4:3.
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

impl RandomResizedCrop {
    /// Draws a part of a picture of `width` × `height` pixels.
    ///
    /// Up to ten times an area is drawn uniformly and a ratio log-uniformly, and the first rectangle
    /// that fits is put somewhere uniformly. If none fits: the greatest rectangle in the middle whose
    /// ratio is allowed.
    pub fn draw(&self, width: usize, height: usize, rng: &mut dyn RngCore) -> CropBox {
        let (w, h) = (width as f64, height as f64);
        let [low, high] = self.ratio;
        for _ in 0..10 {
            let area = w * h * rng.random_range(self.scale[0]..=self.scale[1]);
            let ratio = rng.random_range(low.ln()..=high.ln()).exp();
            let wide = (area * ratio).sqrt().round() as usize;
            let tall = (area / ratio).sqrt().round() as usize;
            if (1..=width).contains(&wide) && (1..=height).contains(&tall) {
                let top = rng.random_range(0..=height - tall);
                let left = rng.random_range(0..=width - wide);
                return CropBox { left, top, width: wide, height: tall };
            }
        }
        let (wide, tall) = match w / h {
            ratio if ratio < low => (w, (w / low).round()),
            ratio if ratio > high => ((h * high).round(), h),
            _ => (w, h),
        };
        let wide = (wide as usize).clamp(1, width.max(1));
        let tall = (tall as usize).clamp(1, height.max(1));
        let (left, top) = ((width - wide.min(width)) / 2, (height - tall.min(height)) / 2);
        CropBox { left, top, width: wide, height: tall }
    }

    pub(super) fn check(&self) -> Result<()> {
        let rising = |[low, high]: [f64; 2]| 0.0 < low && low <= high && high.is_finite();
        if rising(self.scale) && self.scale[1] <= 1.0 && rising(self.ratio) {
            return Ok(());
        }
        let found = format!("{self:?}");
        let expected = "0 < least <= greatest, and a scale of at most 1";
        Err(error::config("random crop", expected, found, "change it"))
    }
}
