//! The dtype of stored features.

use serde::{Deserialize, Serialize};
use tch::Kind;

/// The dtype in which a file stores features. Logits and targets are stored exactly, so that ρ is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// The dtype of the teacher's output.
    #[default]
    Full,
    /// 16 bits with 11 of precision (relative error at most 2⁻¹¹ above 6.1e-5); a feature beyond
    /// ±65504 is refused.
    Half,
    /// 16 bits with 8 of precision (relative error at most 2⁻⁸) and the range of `Float`.
    BFloat16,
}

impl Storage {
    /// The dtype in which features of `kind` are stored.
    pub(super) fn kind(self, kind: Kind) -> Kind {
        match self {
            Self::Full => kind,
            Self::Half => Kind::Half,
            Self::BFloat16 => Kind::BFloat16,
        }
    }
}

/// The dtype in which stored numbers are returned: `Float` for 16 bits.
pub(super) fn returned_kind(kind: Kind) -> Kind {
    if matches!(kind, Kind::Half | Kind::BFloat16) { Kind::Float } else { kind }
}
