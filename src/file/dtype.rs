//! The dtypes of the safetensors format.

use safetensors::Dtype;
use tch::{Kind, TchError};

/// The dtypes that the format and tch have in common.
const COMMON: [(Dtype, Kind); 13] = [
    (Dtype::BOOL, Kind::Bool),
    (Dtype::U8, Kind::Uint8),
    (Dtype::I8, Kind::Int8),
    (Dtype::I16, Kind::Int16),
    (Dtype::I32, Kind::Int),
    (Dtype::I64, Kind::Int64),
    (Dtype::F8_E4M3, Kind::Float8e4m3fn),
    (Dtype::F8_E5M2, Kind::Float8e5m2),
    (Dtype::F16, Kind::Half),
    (Dtype::BF16, Kind::BFloat16),
    (Dtype::F32, Kind::Float),
    (Dtype::F64, Kind::Double),
    (Dtype::C64, Kind::ComplexFloat),
];

/// The dtype of tch, if it has this one.
pub(crate) fn kind_of(dtype: Dtype) -> Option<Kind> {
    COMMON.iter().find(|(other, _)| *other == dtype).map(|(_, kind)| *kind)
}

/// The dtype of the format.
///
/// # Errors
/// [`TchError::Convert`] if the format has none for `kind`.
pub(crate) fn dtype_of(kind: Kind) -> Result<Dtype, TchError> {
    let found = COMMON.iter().find(|(_, other)| *other == kind).map(|(dtype, _)| *dtype);
    found.ok_or_else(|| TchError::Convert(format!("safetensors has no dtype for {kind:?}")))
}
