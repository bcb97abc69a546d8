//! The clips of a data set: their files, their splits, and those excluded for missing or unreadable
//! files.

mod excluded;
mod file_check;
mod folder;
mod index;
mod layout;
mod listing;
mod split;

pub use excluded::{Excluded, ExcludedClips, ExclusionReason, OnMissing};
pub(super) use folder::ClipFolder;
pub use index::{Clip, Clips};
pub use layout::ClipLayout;
pub(super) use listing::{
    CLIP_NAMES, LABEL_NAMES, ListingColumn, ListingFormat, Row, check_distinct,
};
pub(super) use split::split_by_group;
pub use split::{ClipSplits, GroupShares};
