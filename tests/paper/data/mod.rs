//! Data sets from their own files.
//!
//! - `av_mnist.rs`, `clips.rs` (CREMA-D and VGGSound), `image_table.rs`, `features.rs`: layouts, and
//!   corrupted or missing files.
//! - `table.rs`, `standardise.rs`: CSV and XLSX; scales learnt from training data alone.
//! - `audio.rs`, `image.rs`: decoding, resampling, crops, on generated files.
//! - `reference_values.rs`: against librosa's and Pillow's numbers on real files (skipped where they are
//!   absent).
//! - `loader.rs`: order, chance, workers, cache, errors.

mod audio;
mod av_mnist;
mod clips;
mod features;
mod image;
mod image_table;
mod loader;
mod reference_values;
mod standardise;
mod table;
