//! Norm, dot product and quotient of parameter vectors, on their device.

use tch::{TchError, Tensor};

use crate::transfer;

type Torch<T> = std::result::Result<T, TchError>;

/// √Σ‖t‖² as a device scalar; `None` of no tensors.
pub(super) fn norm(tensors: impl Iterator<Item = Tensor>) -> Torch<Option<Tensor>> {
    let norms = tensors.map(|t| t.f_norm()).collect::<Torch<Vec<_>>>()?;
    if norms.is_empty() {
        return Ok(None);
    }
    Tensor::f_stack(&norms, 0)?.f_norm().map(Some)
}

/// Σ⟨a, b⟩ as a device scalar of the widest kind; `None` of no pairs.
pub(super) fn dot<'a>(
    pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>,
) -> Torch<Option<Tensor>> {
    let mut sum: Option<Tensor> = None;
    for (a, b) in pairs {
        let own = a.f_mul(b)?.f_sum(transfer::wide_kind(a.device()))?;
        sum = Some(match sum {
            Some(sum) => sum.f_add(&own)?,
            None => own,
        });
    }
    Ok(sum)
}

/// a / b, and 0 where b is 0.
pub(super) fn quotient(a: &Tensor, b: &Tensor) -> Torch<Tensor> {
    let zero = b.f_zeros_like()?;
    a.f_div(b)?.f_where_self(&b.f_gt_tensor(&zero)?, &zero)
}
