//! Data sets, read from their own files into [`Batch`](crate::Batch)es.
//!
//! - [`AvMnist`]: AV-MNIST's `.npy` files, or one `.npz`.
//! - [`Cremad`], [`VggSound`]: the clips of a data set in its own layout ([`Clips`]), their splits, and
//!   the clips excluded for missing files ([`ExcludedClips`]).
//! - [`ClipTransform`]: the preprocessing and augmentation of a clip ([`AudioTransform`],
//!   [`FrameTransform`]).
//! - [`ClipLoader`]: batches of transformed clips, decoded on worker threads ahead of training.
//! - [`ImageTable`]: images beside a [`Table`] (CSV or XLSX), as in MIS-ME and Houses.
//! - [`Standardisation`]: columns and targets standardised by the training data.
//! - [`Features`]: pre-extracted features: vectors and [`Sequences`].
//!
//! docs/data.md describes the files of each data set.
//!
//! ```no_run
//! use g2d::{data::Order, paper::data::{ClipLoader, Cremad, GroupShares, LoaderOptions, Mode, OnMissing}};
//! use rand::{SeedableRng, rngs::StdRng};
//!
//! # fn main() -> g2d::Result<()> {
//! let cremad = Cremad::new("data/CREMA-D", OnMissing::Skip);
//! let splits = cremad.speaker_split(GroupShares::default(), 1)?;
//! println!("{} clips; {}", splits.train.len(), splits.train.excluded());
//! let options = LoaderOptions { workers: 2, ..Default::default() };
//! let loader = ClipLoader::new(splits.train, &cremad.transform(), Mode::Train, options)?;
//! let mut rng = StdRng::seed_from_u64(1);
//! for epoch in 0..2 {
//!     for batch in loader.batches(epoch, Order::Shuffled(&mut rng), tch::Device::Cpu) {
//!         let batch = batch?; // audio [16, 1, 257, 188], visual [16, 3, 1, 224, 224]
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod arrays;
mod audio;
mod av_mnist;
mod cache;
mod clips;
mod content;
mod cremad;
mod delimited;
mod elements;
mod features;
mod file;
mod hidden;
mod image;
mod image_files;
mod image_rows;
mod image_table;
mod loader;
mod mode;
mod sequences;
mod standardisation;
mod table;
mod transform;
mod vggsound;

pub use audio::{AudioTransform, LogSpectrogram, Waveform};
pub use av_mnist::AvMnist;
pub use cache::ClipCache;
pub use clips::{
    Clip, ClipLayout, ClipSplits, Clips, Excluded, ExcludedClips, ExclusionReason, GroupShares,
    OnMissing,
};
pub use cremad::Cremad;
pub use features::{FeatureShape, Features};
pub use image::{CropBox, FrameTransform, RandomResizedCrop, RgbPicture};
pub use image_rows::{ImageTableRows, ImageTableSplits};
pub use image_table::{HouseModalities, ImageColumns, ImageTable};
pub use loader::{ClipBatches, ClipLoader, LoaderOptions};
pub use mode::Mode;
pub use sequences::Sequences;
pub use standardisation::{ColumnScale, Standardisation, Standardiser, TargetScale, TargetScaler};
pub use table::Table;
pub use transform::ClipTransform;
pub use vggsound::VggSound;
