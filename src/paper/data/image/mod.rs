//! Images: from files to normalised channels.

mod crop;
mod jpeg;
mod resize;
mod rgb;
mod transform;

pub use crop::{CropBox, RandomResizedCrop};
pub use rgb::RgbPicture;
pub use transform::FrameTransform;
