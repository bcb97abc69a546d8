//! Data sets, from their own files to [`Batch`](crate::batch::Batch)es.
//!
//! - [`InMemory`]: samples held as tensors, cut into batches.
//! - [`AvMnist`]: AV-MNIST's layout of `.npy` files, or one `.npz`.
//! - [`Cremad`], [`VggSound`]: which clips a data set in its own layout has ([`Clips`]), split, and
//!   what was left out ([`Skipped`]).
//! - [`Recipe`]: what is done to a clip ([`AudioRecipe`], [`FrameRecipe`]).
//! - [`ClipLoader`]: clips by a recipe as batches, decoded on worker threads ahead of training.
//! - [`ImageTable`]: pictures beside a [`Table`] (CSV or XLSX), as MIS-ME and Houses have them.
//! - [`Standardisation`]: columns and targets on a common scale, learnt from training data alone.
//! - [`Features`]: features that someone else has extracted, [`Sequences`] among them.
//!
//! docs/data.md shows how to bring each data set into its form.
//!
//! ```no_run
//! use g2d::{data::Order, paper::data::{ClipLoader, Cremad, GroupShares, LoaderOptions, OnMissing, Phase}};
//! use rand::{SeedableRng, rngs::StdRng};
//!
//! # fn main() -> g2d::Result<()> {
//! let cremad = Cremad::new("data/CREMA-D", OnMissing::Skip);
//! let splits = cremad.speaker_split(GroupShares::default(), 1)?;
//! println!("{} clips; {}", splits.train.len(), splits.train.skipped());
//! let options = LoaderOptions { workers: 2, ..Default::default() };
//! let loader = ClipLoader::new(splits.train, &cremad.recipe(), Phase::Train, options)?;
//! let mut rng = StdRng::seed_from_u64(1);
//! for epoch in 0..2 {
//!     for batch in loader.batches(epoch, Order::Shuffled(&mut rng), tch::Device::Cpu) {
//!         let batch = batch?; // audio [16, 1, 257, 188], visual [16, 3, 1, 224, 224]
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod audio;
mod av_mnist;
mod cache;
mod clips;
mod cremad;
mod features;
mod houses;
mod image;
mod image_rows;
mod image_table;
mod loader;
mod npy;
mod recipe;
mod sequences;
mod standardise;
mod table;
mod vggsound;

pub use audio::{AudioRecipe, LogSpectrogram, Waveform};
pub use av_mnist::AvMnist;
pub use cache::Cache;
pub use clips::{
    AudioFiles, Clip, ClipLayout, ClipSplits, Clips, GroupShares, OnMissing, SkipReason, Skipped,
    SkippedFor,
};
pub use cremad::Cremad;
pub use features::{FeatureShape, Features};
pub use houses::HouseModalities;
pub use image::{CropBox, FrameRecipe, RandomResizedCrop, RgbPicture};
pub use image_rows::{ImageTableRows, ImageTableSplits};
pub use image_table::{ImageTable, Pictures};
pub use loader::{ClipBatches, ClipLoader, LoaderOptions};
pub use recipe::{Draw, Phase, Recipe};
pub use sequences::Sequences;
pub use standardise::{ColumnScale, Standardisation, Standardiser, TargetScale, TargetScaler};
pub use table::Table;
pub use vggsound::VggSound;
