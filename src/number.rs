//! The serde format of numbers: JSON has no NaN and no infinity, so these are strings.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const EXPECTED: &str = "expected a number, \"NaN\", \"inf\" or \"-inf\"";

/// The serialized form of one number: a number if finite, else `"NaN"`, `"inf"` or `"-inf"`.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, \"NaN\", \"inf\" or \"-inf\"")]
pub(crate) enum Form {
    Number(f64),
    Text(String),
}

/// The types that `#[serde(with = "number")]` supports.
pub(crate) trait Numbers: Sized {
    /// The serialized form.
    type Form: Serialize + for<'de> Deserialize<'de>;

    fn to_form(&self) -> Self::Form;

    /// Returns `None` for a string that is no number.
    fn from_form(form: Self::Form) -> Option<Self>;
}

impl Numbers for f64 {
    type Form = Form;

    fn to_form(&self) -> Form {
        if self.is_finite() { Form::Number(*self) } else { Form::Text(self.to_string()) }
    }

    fn from_form(form: Form) -> Option<Self> {
        match form {
            Form::Number(number) => Some(number),
            Form::Text(text) => text.parse().ok().filter(|number: &f64| !number.is_finite()),
        }
    }
}

impl<T: Numbers> Numbers for Option<T> {
    type Form = Option<T::Form>;

    fn to_form(&self) -> Self::Form {
        self.as_ref().map(T::to_form)
    }

    fn from_form(form: Self::Form) -> Option<Self> {
        form.map_or(Some(None), |form| T::from_form(form).map(Some))
    }
}

impl<T: Numbers> Numbers for Vec<T> {
    type Form = Vec<T::Form>;

    fn to_form(&self) -> Self::Form {
        self.iter().map(T::to_form).collect()
    }

    fn from_form(form: Self::Form) -> Option<Self> {
        form.into_iter().map(T::from_form).collect()
    }
}

pub(crate) fn serialize<T: Numbers, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.to_form().serialize(to)
}

pub(crate) fn deserialize<'de, T: Numbers, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let form = T::Form::deserialize(from)?;
    T::from_form(form).ok_or_else(|| D::Error::custom(EXPECTED))
}

/// For `#[serde(with = "number::named")]`: named numbers as an object, in their order.
pub(crate) mod named {
    use std::fmt;

    use serde::{
        Deserializer, Serializer,
        de::{Error as _, MapAccess, Visitor},
    };

    use super::{Form, Numbers as _};

    pub(crate) fn serialize<S: Serializer>(
        numbers: &[(String, f64)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_map(numbers.iter().map(|(name, value)| (name, value.to_form())))
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
                while let Some((name, form)) = map.next_entry::<String, Form>()? {
                    let value =
                        f64::from_form(form).ok_or_else(|| A::Error::custom(super::EXPECTED))?;
                    numbers.push((name, value));
                }
                Ok(numbers)
            }
        }

        from.deserialize_map(Numbers)
    }
}
