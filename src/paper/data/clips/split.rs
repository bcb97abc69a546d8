//! Splits into training, validation and test clips.

use std::collections::{BTreeMap, BTreeSet};

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};

use super::{Clips, Row};
use crate::error::{self, Result};

/// The splits of a data set.
#[derive(Debug, Clone)]
pub struct ClipSplits {
    /// Training clips.
    pub train: Clips,
    /// Validation clips, if the split has them; otherwise [`Clips::hold_out`] takes some of `train`.
    pub val: Option<Clips>,
    /// Test clips.
    pub test: Clips,
}

/// The shares of the groups (speakers) in validation and test; the rest is for training.
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

/// Splits rows into [train, val, test] at random, with all rows of a group in one part; rows keep
/// their order. The split depends on the seed and the listed groups only, not on missing clips.
pub(crate) fn split_by_group(
    rows: Vec<Row>,
    group: impl Fn(&Row) -> Option<String>,
    shares: GroupShares,
    seed: u64,
) -> Result<[Vec<Row>; 3]> {
    let row_groups = rows.iter().map(|row| {
        group(row).ok_or_else(|| {
            let expected = "a name that starts with the speaker, such as 1001_DFA_ANG_XX";
            row.invalid(expected, format!("{:?}", row.clip()), "correct the name")
        })
    });
    let row_groups: Vec<String> = row_groups.collect::<Result<_>>()?;
    let mut groups: Vec<&String> = BTreeSet::from_iter(&row_groups).into_iter().collect();
    let number = |share: f64| (share * groups.len() as f64).round().max(1.0) as usize;
    let valid = |share: f64| share > 0.0 && share < 1.0;
    let (val, test) = (number(shares.val), number(shares.test));
    if !valid(shares.val) || !valid(shares.test) || val + test >= groups.len() {
        let what = format!("shares of {} speakers", groups.len());
        let expected = "above 0 each, with at least one speaker left for training";
        return Err(error::out_of_range(what, expected, format_args!("{shares:?}")));
    }
    groups.shuffle(&mut StdRng::seed_from_u64(seed));
    let part = |i: usize| if i < test { 2 } else { usize::from(i < test + val) };
    let part_of: BTreeMap<&String, usize> =
        groups.into_iter().enumerate().map(|(i, group)| (group, part(i))).collect();
    let mut parts = [Vec::new(), Vec::new(), Vec::new()];
    for (row, group) in rows.into_iter().zip(&row_groups) {
        parts[part_of[group]].push(row);
    }
    Ok(parts)
}
