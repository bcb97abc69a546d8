//! Readers of data sets.
//!
//! - `av_mnist.rs`, `clips.rs` (CREMA-D and VGGSound), `image_table.rs`, `features.rs`: layouts,
//!   and corrupted or missing files.
//! - `listings.rs`: the published lists of clips; `unreadable.rs`: what the index of clips excludes.
//! - `table.rs`: CSV and XLSX; `standardise.rs`: standardisation by the training data.
//! - `audio.rs`, `image.rs`: decoding, resampling and crops of generated files.
//! - `wav.rs`, `mp3.rs`, `jpeg.rs`, `png.rs`, `numpy.rs`: the forms of these files, and damaged ones.
//! - `reference_values.rs`: the values of librosa and Pillow for real files, skipped without these
//!   files.
//! - `clip_dataset.rs`: clips as samples: augmentation, cache, errors.

mod audio;
mod av_mnist;
mod clip_dataset;
mod clips;
mod features;
mod image;
mod image_table;
mod jpeg;
mod listings;
mod mp3;
mod numpy;
mod png;
mod reference_values;
mod standardise;
mod table;
mod unreadable;
mod wav;
