//! Sequences of different lengths as one tensor.

use tch::{Kind, Tensor};

use crate::error::{self, Result};

/// Sequences [N, T, d] and the lengths \[N\] of each, the rest being padding.
///
/// # Packed form
/// A batch has one input a modality, so values and lengths travel as one tensor [N, T, d + 1]: the last
/// channel is 1 for a step and 0 for padding, and padding is 0 throughout. Length 0 is a sample
/// without this modality.
#[derive(Debug)]
pub struct Sequences;

impl Sequences {
    /// Values [N, T, d] and lengths \[N\] in the packed form, as `Float`; whatever stood in the padding
    /// is gone.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::error::Error::Shape) if they do not fit each other,
    /// [`Error::Target`](crate::error::Error::Target) for a length outside 0..=T.
    pub fn pack(values: &Tensor, lengths: &Tensor) -> Result<Tensor> {
        let (size, counts) = (values.size(), lengths.size());
        if size.len() != 3 || counts != size[..1] || size.contains(&0) {
            return Err(error::shape(
                "sequences and their lengths",
                "[N, T, d] and [N], none of them empty",
                format!("{size:?} and {counts:?}"),
                "give every sequence its length",
            ));
        }
        let lengths = lengths.to_kind(Kind::Int64);
        let (low, high) = (lengths.min().int64_value(&[]), lengths.max().int64_value(&[]));
        if low < 0 || high > size[1] {
            return Err(error::target(
                "lengths of sequences",
                format!("0..={}", size[1]),
                format!("{low}..={high}"),
                "count steps, not features",
            ));
        }
        let steps = Tensor::arange(size[1], (Kind::Int64, values.device()));
        let there = steps.unsqueeze(0).lt_tensor(&lengths.unsqueeze(1)).unsqueeze(2);
        let values = values.to_kind(Kind::Float);
        let values = values.where_self(&there, &values.zeros_like());
        Ok(Tensor::cat(&[values, there.to_kind(Kind::Float)], 2))
    }

    /// Values [N, T, d] and the mask [N, T] (`Bool`) of the packed form.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::error::Error::Shape) for another form.
    pub fn unpack(packed: &Tensor) -> Result<(Tensor, Tensor)> {
        let &[_, _, channels] = packed.size().as_slice() else {
            return Err(not_packed(packed));
        };
        if channels < 2 {
            return Err(not_packed(packed));
        }
        let mask = packed.select(2, channels - 1).gt(0.5);
        Ok((packed.narrow(2, 0, channels - 1), mask))
    }
}

fn not_packed(tensor: &Tensor) -> crate::error::Error {
    error::shape(
        "packed sequences",
        "[N, T, d + 1], the mask last",
        format!("{:?}", tensor.size()),
        "make them with `Sequences::pack`",
    )
}
