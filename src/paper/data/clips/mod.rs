//! The clips of a data set: their files, their splits, and those excluded for missing files.

mod excluded;
mod folder;
mod index;
mod layout;
mod listing;
mod split;

pub use excluded::{Excluded, ExcludedClips, ExclusionReason, OnMissing};
pub(super) use folder::ClipFolder;
pub use index::{Clip, Clips};
pub use layout::ClipLayout;
pub(super) use listing::{ListingFormat, Row};
pub(super) use split::split_by_group;
pub use split::{ClipSplits, GroupShares};
