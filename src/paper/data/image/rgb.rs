//! The pixels of an image file.

use std::{io::ErrorKind, path::Path};

use image::{ImageError, ImageReader};

use super::{CropBox, resize};
use crate::error::{Error, Result};
use crate::paper::data::file::corrupted;

/// An RGB image: bytes [height, width, 3].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl RgbPicture {
    /// Reads a JPEG or PNG; the three channels of a grey image are equal.
    ///
    /// JPEG decoders round differently: single values differ from Pillow's by up to 4 of 255 levels,
    /// by 0.3 on average.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Data`] if it is corrupted or of another
    /// format.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |e| Error::io("read the file", path, e);
        let reader = ImageReader::open(path).map_err(|e| Error::io("open the file", path, e))?;
        let decoded = reader.with_guessed_format().map_err(unreadable)?.decode();
        let rgb = decoded.map_err(|error| match error {
            ImageError::IoError(e) if e.kind() != ErrorKind::UnexpectedEof => unreadable(e),
            error => corrupted(path, "image", "a complete JPEG or PNG", error),
        })?;
        let rgb = rgb.into_rgb8();
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        if width == 0 || height == 0 {
            let found = format!("{width}×{height}");
            return Err(corrupted(path, "image", "at least one pixel", found));
        }
        Ok(Self { pixels: rgb.into_raw(), width, height })
    }

    /// Returns the width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Returns the bytes [height, width, 3].
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Resizes to `width` × `height` as Pillow's `resize(…, BILINEAR)` does, antialiased and rounded
    /// to bytes after each of the two passes. The bytes equal Pillow's.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let all = CropBox { left: 0, top: 0, width: self.width, height: self.height };
        self.cropped_and_resized(all, width, height)
    }

    /// Crops, then resizes to `width` × `height`. Pixels outside `crop` do not influence the result; a
    /// `crop` that extends beyond the image is clipped.
    pub fn cropped_and_resized(&self, crop: CropBox, width: usize, height: usize) -> Self {
        let size = [self.width, self.height];
        Self { pixels: resize::bilinear(&self.pixels, size, crop, [width, height]), width, height }
    }

    /// Reverses the order of the columns.
    pub(super) fn flip_horizontally(&mut self) {
        for row in self.pixels.chunks_exact_mut(self.width * 3) {
            row.as_chunks_mut::<3>().0.reverse();
        }
    }
}
