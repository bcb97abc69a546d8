//! Element types and values of NumPy arrays.

use std::{io::Read, path::Path};

use half::f16;
use ndarray_npy::{ReadDataError, ReadableElement};
use py_literal::Value;
use tch::Tensor;

use crate::error::{Error, Result};

/// NumPy's code of an element type without the byte order, such as `f4`.
pub(super) fn type_code(element: &Value) -> String {
    match element {
        Value::String(code) => code.trim_start_matches(['<', '>', '|', '=']).to_owned(),
        other => other.to_string(),
    }
}

/// NumPy's name of the element type with this code.
pub(super) fn type_name(element: &str) -> String {
    let bits = |kind: &str, bytes: &str| match bytes.parse::<u32>() {
        Ok(bytes) => format!("{kind}{}", 8 * bytes),
        Err(_) => element.to_owned(),
    };
    match (element.get(..1), element.get(1..).unwrap_or_default()) {
        (Some("b"), _) => "bool".to_owned(),
        (Some("i"), bytes) => bits("int", bytes),
        (Some("u"), bytes) => bits("uint", bytes),
        (Some("f"), bytes) => bits("float", bytes),
        (Some("c"), bytes) => bits("complex", bytes),
        (Some("U" | "S"), _) => "texts".to_owned(),
        (Some("O"), _) => "Python objects".to_owned(),
        (Some("M" | "m"), _) => "times".to_owned(),
        _ => format!("the element type {element}"),
    }
}

/// How to save an array of the element type with this code as numbers.
pub(super) fn conversion(element: &str) -> &'static str {
    match element.as_bytes() {
        [b'U' | b'S', ..] => "replace the texts by numbers, such as classes from 0",
        [b'O', ..] => "save an array of numbers, not of Python objects",
        [b'c', ..] => "save real and imaginary parts as features of their own",
        [b'[', ..] => "save each field as an array of its own",
        [b'f', ..] => "save the classes with `astype(np.int64)`",
        _ => "convert the array with `astype` and save it again",
    }
}

/// Checks that `values` are finite and \[N\].
pub(super) fn column(path: &Path, name: &str, values: Tensor) -> Result<Tensor> {
    let hint = match values.size()[..] {
        [_] => "",
        [_, 1] => "save `labels.reshape(-1)`",
        [_, _] => "save `labels.argmax(1)` if each row marks one class",
        _ => "save one value per sample",
    };
    if !hint.is_empty() {
        let found = format!("{:?}", values.size());
        return Err(Error::data(path, name, "one value per sample, [N]", found, hint));
    }
    let invalid = values.isfinite().logical_not().nonzero();
    if invalid.numel() > 0 {
        let row = invalid.int64_value(&[0, 0]);
        let found = format!("{} in row {row}", values.double_value(&[row]));
        let hint = "omit samples without a value";
        return Err(Error::data(path, name, "finite values", found, hint));
    }
    Ok(values)
}

/// A float of 16 bits, widened.
#[derive(Clone)]
pub(super) struct Half(pub f32);

impl ReadableElement for Half {
    fn read_to_end_exact_vec<R: Read>(
        reader: R,
        element: &Value,
        len: usize,
    ) -> std::result::Result<Vec<Self>, ReadDataError> {
        // The bytes are those of integers of 16 bits in the same byte order.
        let bits = match element {
            Value::String(code) => Value::String(code.replace('f', "u")),
            other => other.clone(),
        };
        let bits = u16::read_to_end_exact_vec(reader, &bits, len)?;
        Ok(bits.into_iter().map(|bits| Self(f16::from_bits(bits).to_f32())).collect())
    }
}

/// Refuses every element type, so that the error names it.
pub(super) struct Unread;

impl ReadableElement for Unread {
    fn read_to_end_exact_vec<R: Read>(
        _reader: R,
        element: &Value,
        _len: usize,
    ) -> std::result::Result<Vec<Self>, ReadDataError> {
        Err(ReadDataError::WrongDescriptor(element.clone()))
    }
}
