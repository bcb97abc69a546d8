//! Data sets, read from their own files into [`Batch`](crate::Batch)es.
//!
//! - [`AvMnist`]: AV-MNIST's `.npy` files, or one `.npz`.
//! - [`Cremad`], [`VggSound`]: the clips of a data set in its own layout ([`Clips`]), their splits, and
//!   the clips excluded for missing files ([`ExcludedClips`]).
//! - [`ClipTransform`]: the preprocessing and augmentation of a clip ([`AudioTransform`],
//!   [`FrameTransform`]).
//! - [`ClipDataset`]: transformed clips, which a [`Loader`](crate::data::Loader) decodes on worker
//!   threads ahead of training.
//! - [`ImageTable`]: images beside a [`Table`] (CSV or XLSX), as in MIS-ME and Houses.
//! - [`Standardisation`]: columns and targets standardised by the training data.
//! - [`Features`]: pre-extracted features: vectors and [`Sequences`].
//!
//! docs/data.md describes the files of each data set.
//!
//! ```no_run
//! use g2d::data::{BatchOrder, Loader, LoaderOptions};
//! use g2d::paper::data::{ClipCache, ClipDataset, Cremad, GroupShares, Mode, OnMissing};
//!
//! # fn main() -> g2d::Result<()> {
//! let cremad = Cremad::new("data/CREMA-D", OnMissing::Skip);
//! let splits = cremad.speaker_split(GroupShares::default(), 1)?;
//! println!("{} clips; {}", splits.train.len(), splits.train.excluded());
//! let train = ClipDataset::new(splits.train, &cremad.transform(), Mode::Train, ClipCache::Off)?;
//! let options = LoaderOptions { workers: 2, ..Default::default() };
//! let loader = Loader::new(train, BatchOrder::shuffled(16, 1), options)?;
//! for epoch in 0..2 {
//!     for batch in loader.batches(epoch, tch::Device::Cpu) {
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
mod clip_dataset;
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
mod mode;
mod sequences;
mod standardisation;
mod table;
mod transform;
mod vggsound;

pub use audio::{AudioTransform, LogSpectrogram, Waveform};
pub use av_mnist::AvMnist;
pub use cache::ClipCache;
pub use clip_dataset::ClipDataset;
pub use clips::{
    Clip, ClipLayout, ClipSplits, Clips, Excluded, ExcludedClips, ExclusionReason, GroupShares,
    OnMissing,
};
pub use cremad::Cremad;
pub use features::{FeatureShape, Features};
pub use image::{CropBox, FrameTransform, RandomResizedCrop, RgbPicture};
pub use image_rows::{ImageTableRows, ImageTableSplits};
pub use image_table::{HouseModalities, ImageColumns, ImageTable};
pub use mode::Mode;
pub use sequences::Sequences;
pub use standardisation::{ColumnScale, Standardisation, Standardiser, TargetScale, TargetScaler};
pub use table::Table;
pub use transform::ClipTransform;
pub use vggsound::VggSound;
