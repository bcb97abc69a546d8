//! JSON has no NaN and no infinity: such a number is written as `null` and comes back as NaN.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A number, or NaN for `null`; for `#[serde(deserialize_with = …)]`.
pub(crate) fn nan_if_null<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Numbers by name, as an object that keeps its order; for `#[serde(with = …)]`.
pub(crate) mod numbers {
    use serde::{
        Deserializer, Serializer,
        de::{MapAccess, Visitor},
    };

    use super::fmt;

    pub(crate) fn serialize<S: Serializer>(
        numbers: &[(String, f64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(numbers.iter().map(|(name, value)| (name, value)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<(String, f64)>, D::Error> {
        struct Numbers;

        impl<'de> Visitor<'de> for Numbers {
            type Value = Vec<(String, f64)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of numbers by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut numbers = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<f64>>()? {
                    numbers.push((name, value.unwrap_or(f64::NAN)));
                }
                Ok(numbers)
            }
        }

        from.deserialize_map(Numbers)
    }
}
