//! Pictures: from files to normalised channels.

mod crop;
mod recipe;
mod resize;
mod rgb;

pub use crop::{CropBox, RandomResizedCrop};
pub(super) use recipe::FramePipeline;
pub use recipe::FrameRecipe;
pub use rgb::RgbPicture;
