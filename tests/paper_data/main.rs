//! Data sets from their own files, in one binary.
//!
//! - `golden.rs`: against librosa's and Pillow's numbers on real files (skipped where they are absent).
//! - `sound.rs`, `pictures.rs`: decoding, resampling, crops, on generated files.
//! - `layouts.rs`: CREMA-D's and VGGSound's folders; what is missing, who speaks.
//! - `loader.rs`: order, chance, workers, cache, errors.
//! - `support.rs`: tiny data sets in temporary folders.
//! - `fixtures/tone.mp3`: half a second of 440 Hz at 0.5, 22,050 Hz mono, by LAME.
#![cfg(feature = "paper")]

#[path = "../common/mod.rs"]
mod common;
mod golden;
mod layouts;
mod loader;
mod pictures;
mod sound;
mod support;
