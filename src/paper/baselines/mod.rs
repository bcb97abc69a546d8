//! Baselines: other methods that balance modalities, composed of the library's parts.
//!
//! - [`Ogm`]: on-the-fly gradient modulation, OGM and OGM-GE.

mod ogm;

pub use ogm::Ogm;
