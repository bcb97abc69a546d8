//! Tensors of different lengths as one input.

use tch::{Device, Kind, TchError, Tensor};

use super::Input;
use crate::error::{self, Error, Result};

impl Input {
    /// An input from one tensor [T_i, …] per sample, of different lengths T_i, such as token ids, frames
    /// or boxes:
    ///
    /// - `values` [B, T, …]: the tensors, with zeros after the end, where T is the largest T_i and at
    ///   least 1;
    /// - `mask` [B, T] in `Bool`: whether there is a value, as PyTorch's attention takes it;
    /// - `lengths` \[B\] in `Int64`: T_i.
    ///
    /// # Errors
    /// [`Error::Shape`] without a tensor, and for a tensor without dimensions or with another shape after
    /// the first; [`Error::Kind`] and [`Error::Device`] for tensors of several dtypes or devices.
    ///
    /// # Example
    /// ```
    /// use g2d::batch::Input;
    /// use tch::Tensor;
    ///
    /// let sentences = [Tensor::from_slice(&[5_i64, 7, 2]), Tensor::from_slice(&[9_i64])];
    /// let text = Input::padded(&sentences)?;
    /// assert!(text.tensor("values")?.equal(&Tensor::from_slice2(&[[5_i64, 7, 2], [9, 0, 0]])));
    /// assert!(text.tensor("mask")?.equal(&Tensor::from_slice2(&[[true; 3], [true, false, false]])));
    /// assert!(text.tensor("lengths")?.equal(&Tensor::from_slice(&[3_i64, 1])));
    /// # Ok::<(), g2d::Error>(())
    /// ```
    pub fn padded(samples: &[Tensor]) -> Result<Self> {
        let Some(first) = samples.first() else {
            let hint = "leave out empty batches";
            return Err(error::shape("list to pad", "at least one tensor [T, …]", "none", hint));
        };
        for (i, sample) in samples.iter().enumerate() {
            check(i, sample, first)?;
        }
        let lengths: Vec<i64> = samples.iter().map(|sample| sample.size()[0]).collect();
        pad(samples, &lengths, first.device())
            .map_err(|e| Error::torch("pad tensors of different lengths", e))
    }
}

/// Refuses sample `i` if it differs from the first in more than its length.
fn check(i: usize, sample: &Tensor, first: &Tensor) -> Result<()> {
    let what = format!("tensor {i} to pad");
    let (size, expected) = (sample.size(), first.size());
    if size.is_empty() || size.get(1..) != expected.get(1..) {
        let rest = expected.iter().skip(1).map(|n| format!(", {n}")).collect::<String>();
        let expected = format!("[T{rest}] with a length T, like the first");
        return Err(error::wrong_shape(what, expected, &size, "pass one tensor per sample"));
    }
    let (kind, device) = (first.kind(), first.device());
    if sample.kind() != kind {
        let expected = format!("{kind:?}, like the first");
        return Err(error::wrong_kind(what, expected, sample.kind(), "convert it"));
    }
    if sample.device() != device {
        let found = sample.device();
        return Err(error::wrong_device(what, device, "first", found, "pad before `to_device`"));
    }
    Ok(())
}

fn pad(
    samples: &[Tensor],
    lengths: &[i64],
    device: Device,
) -> std::result::Result<Input, TchError> {
    let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
    let rest = samples[0].size();
    let size: Vec<i64> =
        [samples.len() as i64, longest].into_iter().chain(rest[1..].iter().copied()).collect();
    let values = Tensor::f_zeros(&size, (samples[0].kind(), device))?;
    for ((row, sample), &length) in (0_i64..).zip(samples).zip(lengths) {
        values.f_select(0, row)?.f_narrow(0, 0, length)?.f_copy_(sample)?;
    }
    let lengths = Tensor::from_slice(lengths).f_to_device(device)?;
    let places = Tensor::f_arange(longest, (Kind::Int64, device))?;
    let mask = places.f_unsqueeze(0)?.f_lt_tensor(&lengths.f_unsqueeze(1)?)?;
    Ok(Input::new("values", values).with("mask", mask).with("lengths", lengths))
}
