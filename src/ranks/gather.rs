//! Tensors of all ranks on every rank.

use tch::{Device, Kind, Tensor};

use super::Ranks;
use crate::error::{self, Error, Result};

/// The dtypes that can be gathered, by their number in an exchange.
const KINDS: [Kind; 10] = [
    Kind::Float,
    Kind::Double,
    Kind::Half,
    Kind::BFloat16,
    Kind::Int64,
    Kind::Int,
    Kind::Int16,
    Kind::Int8,
    Kind::Uint8,
    Kind::Bool,
];

/// The largest number of dimensions.
const DIMENSIONS: usize = 8;

impl Ranks {
    /// The rows [N, …] of all ranks, in host memory where there are several; `None` where no rank has any.
    pub(crate) fn gather_rows(&self, own: Option<&Tensor>) -> Result<Option<Tensor>> {
        if self.group().is_none() {
            return Ok(own.map(Tensor::shallow_clone));
        }
        let failed = |source| Error::torch("gather the rows of all ranks", source);
        let own = match own {
            Some(own) => own.f_detach().and_then(|own| own.f_to_device(Device::Cpu)),
            None => Tensor::f_zeros([0], (Kind::Float, Device::Cpu)),
        };
        let mut rows = self.gather(&own.map_err(failed)?)?;
        rows.retain(|rows| rows.numel() > 0);
        if rows.is_empty() {
            return Ok(None);
        }
        Tensor::f_cat(&rows, 0).map(Some).map_err(failed)
    }

    /// The tensors of all ranks, in their order, in host memory. `own` is in host memory; the ranks may have
    /// other shapes.
    pub(crate) fn gather(&self, own: &Tensor) -> Result<Vec<Tensor>> {
        let Some(group) = self.group() else { return Ok(vec![own.shallow_clone()]) };
        let width = 2 + DIMENSIONS;
        let mut forms = vec![0.0; width * self.size()];
        let size = own.size();
        let kind = KINDS.iter().position(|kind| *kind == own.kind());
        // A form that cannot be described is an error on all ranks.
        let described = kind.filter(|_| size.len() <= DIMENSIONS).map_or(-1.0, |kind| kind as f64);
        let form = &mut forms[width * self.rank()..][..width];
        (form[0], form[1]) = (described, size.len() as f64);
        size.iter().zip(&mut form[2..]).for_each(|(&length, form)| *form = length as f64);
        let forms = self.sum(&forms)?;
        if let Some(rank) = forms.chunks(width).position(|form| form[0] < 0.0) {
            let what = format!("tensor of rank {rank} for all ranks");
            let expected = format!("one of {KINDS:?} with at most {DIMENSIONS} dimensions");
            return Err(error::kind(what, expected, "another one", "convert it"));
        }
        let gather = |(rank, form): (usize, &[f64])| {
            let size: Vec<i64> = form[2..2 + form[1] as usize].iter().map(|&n| n as i64).collect();
            let tensor = match rank == self.rank() {
                true => own.f_contiguous(),
                false => Tensor::f_zeros(&size, (KINDS[form[0] as usize], Device::Cpu)),
            };
            let tensor = tensor.map_err(|e| Error::torch("gather tensors of all ranks", e))?;
            if tensor.numel() > 0 {
                group.broadcast(&[tensor.shallow_clone()], rank)?;
            }
            Ok(tensor)
        };
        forms.chunks(width).enumerate().map(gather).collect()
    }
}
