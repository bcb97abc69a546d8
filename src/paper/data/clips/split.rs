//! Training, validation and test.

use std::collections::{BTreeMap, BTreeSet};

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::{Clips, Row};
use crate::error::{self, Error, Result};

/// The splits of a data set.
#[derive(Debug, Clone)]
pub struct ClipSplits {
    /// Training clips.
    pub train: Clips,
    /// Validation clips, where the split has them; [`Clips::hold_out`] makes some of the training
    /// clips where not.
    pub val: Option<Clips>,
    /// Test clips.
    pub test: Clips,
}

/// Shares of the groups (speakers) that go to validation and test; the rest trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupShares {
    /// Share of the groups for validation.
    pub val: f64,
    /// Share of the groups for test.
    pub test: f64,
}

impl Default for GroupShares {
    /// A tenth each.
    fn default() -> Self {
        Self { val: 0.1, test: 0.1 }
    }
}

/// Deals whole groups to [train, val, test], at random by `seed`; rows keep their order.
///
/// The deal depends on the listed groups only, so clips that are missing change nothing.
pub(in crate::paper::data) fn by_group(
    rows: Vec<Row>,
    group: impl Fn(&Row) -> Option<String>,
    shares: GroupShares,
    seed: u64,
) -> Result<[Vec<Row>; 3]> {
    let mut groups = BTreeSet::new();
    let mut of_row = Vec::with_capacity(rows.len());
    for row in &rows {
        let name = group(row).ok_or_else(|| {
            let expected = "a name that starts with the speaker, such as 1001_DFA_ANG_XX";
            Error::data(&row.listing, "clip", expected, &row.clip, "correct the listing")
        })?;
        groups.insert(name.clone());
        of_row.push(name);
    }
    let mut groups: Vec<String> = groups.into_iter().collect();
    let part = |share: f64| (share * groups.len() as f64).round().max(1.0) as usize;
    let legal = |share: f64| share > 0.0 && share < 1.0;
    let held = legal(shares.val) && legal(shares.test);
    let (val, test) = (part(shares.val), part(shares.test));
    if !held || val + test >= groups.len() {
        return Err(error::config(
            format!("shares of {} speakers", groups.len()),
            "above 0 each, and at least one speaker left for training",
            format!("{shares:?}"),
            "choose smaller shares, or check the listing",
        ));
    }
    groups.shuffle(&mut StdRng::seed_from_u64(seed));
    let place = |i: usize| if i < test { 2 } else { usize::from(i < test + val) };
    let places: BTreeMap<String, usize> =
        groups.into_iter().enumerate().map(|(i, group)| (group, place(i))).collect();
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for (row, group) in rows.into_iter().zip(of_row) {
        parts[places[&group]].push(row);
    }
    Ok(parts)
}
