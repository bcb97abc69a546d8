//! Which clips there are, where their files lie, and which were left out.

mod index;
mod layout;
mod listing;
mod skipped;
mod split;

pub use index::{Clip, Clips};
pub use layout::{AudioFiles, ClipLayout};
pub(super) use listing::{Columns, Row};
pub use skipped::{OnMissing, SkipReason, Skipped, SkippedFor};
pub(super) use split::by_group;
pub use split::{ClipSplits, GroupShares};
