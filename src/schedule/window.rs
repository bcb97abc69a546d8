//! A window of epochs in a settings file.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `{ first = 0, last = 150 }`: both ends included, and said so.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    first: u64,
    last: u64,
}

pub(crate) fn serialize<S: Serializer>(
    window: &RangeInclusive<u64>,
    to: S,
) -> Result<S::Ok, S::Error> {
    Window { first: *window.start(), last: *window.end() }.serialize(to)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<RangeInclusive<u64>, D::Error> {
    Window::deserialize(from).map(|window| window.first..=window.last)
}
