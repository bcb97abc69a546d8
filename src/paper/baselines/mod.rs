//! Other methods of balancing, as compositions of the library's parts.
//!
//! - [`Ogm`]: on-the-fly gradient modulation, OGM and OGM-GE.

mod noise;
mod ogm;

pub use ogm::Ogm;
