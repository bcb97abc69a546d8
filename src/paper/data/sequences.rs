//! Sequences of different lengths in one tensor.

use tch::{Kind, Tensor};

use crate::error::{self, Result};

/// Padded sequences [N, T, d] and their lengths \[N\], packed into one tensor, since a batch has one
/// input per modality.
///
/// # Packed form
/// [N, T, d + 1], `Float`: the last channel is the mask, 1 for a valid step and 0 for padding. Padding,
/// at the end of each sequence, is 0 in all channels. A sequence of length 0 stands for a sample
/// without this modality.
#[derive(Debug)]
pub struct Sequences;

impl Sequences {
    /// Packs values [N, T, d] and lengths \[N\]. The values of the padding are ignored.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for other shapes, [`Error::Kind`](crate::Error::Kind) for
    /// lengths that are not integers, [`Error::Target`](crate::Error::Target) for a length outside 0..=T.
    pub fn pack(values: &Tensor, lengths: &Tensor) -> Result<Tensor> {
        let (size, counts) = (values.size(), lengths.size());
        if size.len() != 3 || counts != size[..1] || size.contains(&0) {
            let what = "sequences and their lengths";
            let found = format!("{size:?} and {counts:?}");
            let hint = match size.contains(&0) {
                true => "omit a modality without values",
                false => "pass one length per sequence",
            };
            return Err(error::shape(what, "[N, T, d] and [N], none of them empty", found, hint));
        }
        if !matches!(
            lengths.kind(),
            Kind::Int64 | Kind::Int | Kind::Int16 | Kind::Int8 | Kind::Uint8
        ) {
            let (what, hint) = ("lengths of sequences", "count steps in integers");
            return Err(error::wrong_kind(what, "an integer dtype", lengths.kind(), hint));
        }
        let lengths = lengths.to_kind(Kind::Int64);
        let (low, high) = (lengths.min().int64_value(&[]), lengths.max().int64_value(&[]));
        if low < 0 || high > size[1] {
            let expected = format!("0..={}", size[1]);
            let (found, hint) = (format!("{low}..={high}"), "count steps, not features");
            return Err(error::target("lengths of sequences", expected, found, hint));
        }
        let steps = Tensor::arange(size[1], (Kind::Int64, values.device()));
        let valid = steps.unsqueeze(0).lt_tensor(&lengths.unsqueeze(1)).unsqueeze(2);
        let values = values.to_kind(Kind::Float);
        let values = values.where_self(&valid, &values.zeros_like());
        Ok(Tensor::cat(&[values, valid.to_kind(Kind::Float)], 2))
    }

    /// Returns the values [N, T, d] and the mask [N, T] (`Bool`) of packed sequences.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if `packed` is not [N, T, d + 1].
    pub fn unpack(packed: &Tensor) -> Result<(Tensor, Tensor)> {
        let size = packed.size();
        let [_, _, channels @ 2..=i64::MAX] = size[..] else {
            let (expected, hint) = ("[N, T, d + 1]", "build the tensor with `Sequences::pack`");
            return Err(error::wrong_shape("packed sequences", expected, &size, hint));
        };
        let mask = packed.select(2, channels - 1).gt(0.5);
        Ok((packed.narrow(2, 0, channels - 1), mask))
    }
}
