//! The names that PyTorch's wrappers give to the tensors of a network.
//!
//! A wrapper keeps the network as an attribute, whose name precedes the network's own names in its
//! `state_dict()`.

use std::collections::{BTreeMap, BTreeSet};

/// Attributes of DataParallel, DistributedDataParallel and AveragedModel, and the usual one of
/// LightningModules.
const BY_CONVENTION: [&str; 2] = ["module", "model"];
/// Attributes of `torch.compile`, FSDP and activation checkpointing.
const GENERATED: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// The maximal number of nested wrappers.
const NESTED: usize = 5;
/// The buffer of AveragedModel that counts updates.
const AVERAGING_COUNTER: &str = "n_averaged";

/// A way to get from a name in a file to the network's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reading {
    /// The prefix, which every name of the network has.
    pub(super) prefix: String,
    /// Whether wrappers after the first layer are removed, too.
    inner: bool,
}

impl Reading {
    /// The names as they are.
    fn verbatim() -> Self {
        Self { prefix: String::new(), inner: false }
    }

    /// The network's name for a name in the file, if that begins with the prefix.
    fn name(&self, key: &str) -> Option<String> {
        let rest = key.strip_prefix(&self.prefix)?;
        if !self.inner {
            return Some(rest.to_owned());
        }
        // The prefix is the wrappers before the first layer; the last part is the tensor.
        let mut parts: Vec<&str> = rest.split('.').collect();
        let last = parts.len() - 1;
        let is_wrapper = |part: &str| part == BY_CONVENTION[0] || GENERATED.contains(&part);
        let mut at = 0..;
        parts.retain(|part| {
            let inside = at.next().is_some_and(|at| 0 < at && at < last);
            !(inside && is_wrapper(part))
        });
        Some(parts.join("."))
    }

    /// Whether `key` is the counter of an AveragedModel, whose weights the prefix selects.
    pub(super) fn is_averaging_counter(&self, key: &str) -> bool {
        let averaged = self.prefix.split('.').any(|layer| layer == BY_CONVENTION[0]);
        let outside = key.strip_suffix(AVERAGING_COUNTER);
        averaged && outside.is_some_and(|outside| self.prefix.starts_with(outside))
    }

    /// The names in the file by the network's names, for those that the network has.
    fn assign<'k>(
        &self,
        names: &BTreeSet<&str>,
        keys: &BTreeSet<&'k str>,
    ) -> BTreeMap<String, Vec<&'k str>> {
        let mut assigned: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for key in keys {
            if let Some(name) = self.name(key).filter(|name| names.contains(name.as_str())) {
                assigned.entry(name).or_default().push(key);
            }
        }
        assigned
    }
}

/// The names in a file by the network's names.
#[derive(Debug)]
pub(super) struct Assignment<'k> {
    pub(super) reading: Reading,
    pub(super) keys: BTreeMap<String, &'k str>,
}

/// Several tensors of a file that may be the same tensor of the network.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguous {
    pub(super) name: String,
    pub(super) candidates: Vec<String>,
}

/// Assigns the names in a file to the `names` of a network: without the wrappers with which every name
/// is found or, if that is not possible, with which most are found.
pub(super) fn assign<'k>(
    names: &BTreeSet<&str>,
    keys: &BTreeSet<&'k str>,
) -> Result<Assignment<'k>, Ambiguous> {
    let mut readings: Vec<_> = readings(keys)
        .into_iter()
        .map(|reading| (reading.assign(names, keys), reading))
        .filter(|(assigned, reading)| !assigned.is_empty() || *reading == Reading::verbatim())
        .collect();
    // The first of equals has the shortest prefix.
    let most = readings.iter().map(|(assigned, _)| assigned.len()).max().unwrap_or(0);
    readings.retain(|(assigned, _)| assigned.len() == most);
    let is_unique = |assigned: &BTreeMap<_, Vec<_>>| assigned.values().all(|keys| keys.len() == 1);
    if readings.iter().any(|(assigned, _)| is_unique(assigned)) {
        readings.retain(|(assigned, _)| is_unique(assigned));
    }
    for name in names {
        let candidates: BTreeSet<&str> = readings
            .iter()
            .filter_map(|(assigned, _)| assigned.get(*name))
            .flatten()
            .copied()
            .collect();
        if candidates.len() > 1 && (most == names.len() || !is_unique(&readings[0].0)) {
            let candidates = candidates.into_iter().map(str::to_owned).collect();
            return Err(Ambiguous { name: (*name).to_owned(), candidates });
        }
    }
    let (assigned, reading) =
        readings.into_iter().next().unwrap_or_else(|| (BTreeMap::new(), Reading::verbatim()));
    let keys = assigned.into_iter().map(|(name, keys)| (name, keys[0])).collect();
    Ok(Assignment { reading, keys })
}

/// Every reading that changes a name in another way, the one that changes none first.
fn readings(keys: &BTreeSet<&str>) -> BTreeSet<Reading> {
    let mut prefixes = BTreeSet::from([String::new()]);
    for key in keys {
        let ends = key.match_indices('.').map(|(at, _)| at + 1).take(NESTED);
        prefixes
            .extend(ends.map(|end| &key[..end]).take_while(|p| is_prefix(p)).map(str::to_owned));
    }
    let both =
        |prefix: String| [false, true].map(|inner| Reading { prefix: prefix.clone(), inner });
    prefixes.into_iter().flat_map(both).collect()
}

/// Whether `text` consists of wrappers' attributes, each with its dot.
fn is_prefix(text: &str) -> bool {
    let is_wrapper = |layer: &str| BY_CONVENTION.contains(&layer) || GENERATED.contains(&layer);
    text.split_inclusive('.').all(|layer| layer.strip_suffix('.').is_some_and(is_wrapper))
}
