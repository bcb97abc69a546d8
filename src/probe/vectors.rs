//! Norm, dot product and quotient of parameter vectors, and NaN made visible, on their device.

use tch::{TchError, Tensor};

use crate::transfer;

pub(super) type TchResult<T> = std::result::Result<T, TchError>;

/// √Σ‖t‖² as a scalar; `None` without tensors.
pub(super) fn norm(tensors: impl Iterator<Item = Tensor>) -> TchResult<Option<Tensor>> {
    let norms = tensors.map(|t| t.f_norm()).collect::<TchResult<Vec<_>>>()?;
    if norms.is_empty() {
        return Ok(None);
    }
    Tensor::f_stack(&norms, 0)?.f_norm().map(Some)
}

/// Σ⟨a, b⟩ as a scalar of the widest dtype; `None` without pairs.
pub(super) fn dot<'a>(
    pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>,
) -> TchResult<Option<Tensor>> {
    let mut sum: Option<Tensor> = None;
    for (a, b) in pairs {
        let product = a.f_mul(b)?.f_sum(transfer::wide_kind(a.device()))?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&product)?,
            None => product,
        });
    }
    Ok(sum)
}

/// a / b for b ≥ 0, and 0 where b is 0; NaN where b is NaN.
pub(super) fn quotient(a: &Tensor, b: &Tensor) -> TchResult<Tensor> {
    let zero = b.f_zeros_like()?;
    a.f_div(b)?.f_where_self(&b.f_ne_tensor(&zero)?, &zero)
}

/// The scalar `value`, or NaN if an element of `of` is not finite, from which it was computed.
pub(super) fn nan_unless_finite(value: &Tensor, of: &Tensor) -> TchResult<Tensor> {
    value.f_add(&(of.f_detach()?.f_to_kind(value.kind())? * 0.0).f_sum(value.kind())?)
}
