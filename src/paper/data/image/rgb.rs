//! The pixels of an image file.

use std::path::Path;

use image::ImageFormat;

use super::{CropBox, jpeg, resize};
use crate::error::Result;
use crate::paper::data::file::{Refusal, bytes, corrupted};

/// An RGB image: bytes [height, width, 3].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl RgbPicture {
    /// Reads a JPEG or PNG, which its content tells, not its extension.
    ///
    /// The three channels of a grey image are equal; 16 bits are rounded to 8; CMYK is converted to
    /// RGB; an alpha channel is dropped, as by Pillow's `convert("RGB")`. An EXIF orientation is not
    /// applied, as by Pillow and the authors: rotate such photographs before training
    /// (`exiftran -a`, `magick mogrify -auto-orient`).
    ///
    /// The image must be whole: a JPEG up to its end-of-image marker, a PNG up to its last row, with
    /// correct checksums. Bytes after a whole image are ignored.
    ///
    /// JPEG decoders round differently: single values differ from Pillow's by up to 4 of 255 levels,
    /// by 0.3 on average.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read,
    /// [`Error::Data`](crate::Error::Data) if it is damaged, of another format, or in a form that is
    /// not supported (a JPEG with arithmetic or lossless coding, or of 12 bits).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = bytes(path)?;
        let read = match &file[..] {
            [0xff, 0xd8, 0xff, ..] => jpeg::read(file),
            [0x89, b'P', b'N', b'G', ..] => read_png(&file),
            other => Err(Refusal::from_start(other)),
        };
        let (pixels, [width, height]) =
            read.map_err(|refusal| refusal.error(path, "image", "JPEG or PNG"))?;
        if pixels.is_empty() || pixels.len() != width * height * 3 {
            let found = format!("{width}×{height}");
            return Err(corrupted(path, "image", "at least one pixel", found));
        }
        Ok(Self { pixels, width, height })
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

/// Reads RGB bytes [height, width, 3], the width and the height.
fn read_png(file: &[u8]) -> std::result::Result<(Vec<u8>, [usize; 2]), Refusal> {
    let decoded = image::load_from_memory_with_format(file, ImageFormat::Png);
    let rgb = decoded.map_err(|e| Refusal::Damaged(e.to_string()))?.into_rgb8();
    let size = [rgb.width() as usize, rgb.height() as usize];
    Ok((rgb.into_raw(), size))
}
