//! Pixels of an image file.

use std::path::Path;

use image::{ImageError, ImageReader};

use super::{CropBox, resize};
use crate::{
    error::{Error, Result},
    paper::data::cache::Bytes,
};

/// Pixels [height, width, 3] of bytes: red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    pub(super) pixels: Vec<u8>,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Bytes for RgbPicture {
    fn bytes(&self) -> usize {
        self.pixels.len()
    }
}

impl RgbPicture {
    /// Reads a JPEG or PNG, told by its content; grey becomes three equal channels.
    ///
    /// JPEG decoders differ in rounding: single values are up to 4 of 255 levels away from Pillow's
    /// (0.3 on average over the golden pictures).
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Data`] if it is cut, damaged or of another
    /// format; both with the path.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refused = |e: ImageError| match e {
            ImageError::IoError(e) if e.kind() != std::io::ErrorKind::UnexpectedEof => {
                Error::io("read the file", path, e)
            }
            other => {
                let found = other.to_string();
                Error::data(path, "picture", "a whole JPEG or PNG", found, "fetch the file again")
            }
        };
        let opened = ImageReader::open(path).map_err(|e| Error::io("open the file", path, e))?;
        let reader =
            opened.with_guessed_format().map_err(|e| Error::io("read the file", path, e))?;
        let rgb = reader.decode().map_err(refused)?.into_rgb8();
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        if width == 0 || height == 0 {
            let found = format!("{width}×{height}");
            return Err(Error::data(path, "picture", "pixels", found, "fetch the file again"));
        }
        Ok(Self { pixels: rgb.into_raw(), width, height })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes [height, width, 3].
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The whole picture at `width` × `height`, as Pillow's `resize(…, BILINEAR)`: antialiased,
    /// rounded to bytes after each of the two passes. On equal input the bytes are Pillow's.
    pub fn resized(&self, width: usize, height: usize) -> Self {
        let all = CropBox { left: 0, top: 0, width: self.width, height: self.height };
        self.cropped_and_resized(all, width, height)
    }

    /// The part inside `crop`, then at `width` × `height`; pixels outside the part have no influence.
    /// A `crop` that reaches beyond the picture is cut at its edge.
    pub fn cropped_and_resized(&self, crop: CropBox, width: usize, height: usize) -> Self {
        Self { pixels: resize::bilinear(self, crop, width, height), width, height }
    }
}
