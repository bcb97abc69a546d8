//! L_S of several labels per sample: binary cross-entropy and its variants.

use tch::{Kind, Reduction, Tensor};

use super::{Classification, TaskInput, torch, weights};
use crate::error::Result;

/// L_S of zeros and ones [B, C].
pub(super) fn task(loss: &Classification, input: &TaskInput<'_>) -> Result<Tensor> {
    let logits = input.logits;
    let targets = input.targets.f_to_kind(logits.kind()).map_err(torch)?;
    let weight = weights::list(loss.class_weight.as_deref(), logits)?;
    let pos_weight = weights::list(loss.pos_weight.as_deref(), logits)?;
    let each = |reduction| {
        logits
            .f_binary_cross_entropy_with_logits(
                &targets,
                weight.as_ref(),
                pos_weight.as_ref(),
                reduction,
            )
            .map_err(torch)
    };
    let Some(name) = &loss.sample_weight else {
        return match loss.focal {
            0.0 => each(Reduction::Mean),
            _ => focal(loss, logits, &targets, &weight, &pos_weight)?.f_mean(None).map_err(torch),
        };
    };
    let each = match loss.focal {
        0.0 => each(Reduction::None)?,
        _ => focal(loss, logits, &targets, &weight, &pos_weight)?,
    };
    let rows = each.f_mean_dim([1_i64].as_slice(), false, None::<Kind>).map_err(torch)?;
    weights::mean(&rows, &weights::of_samples(input, name)?, None)
}

/// −w_c [p⁺_c y (1 − p)^γ log p + (1 − y) p^γ log(1 − p)] [B, C]; p = sigmoid(l).
fn focal(
    loss: &Classification,
    logits: &Tensor,
    y: &Tensor,
    weight: &Option<Tensor>,
    pos_weight: &Option<Tensor>,
) -> Result<Tensor> {
    let each = || {
        let (log_p, log_rest) = (logits.f_log_sigmoid()?, (-logits).f_log_sigmoid()?);
        let power = |log: &Tensor| (log * loss.focal).f_exp();
        let mut ones = y.f_mul(&log_p)?.f_mul(&power(&log_rest)?)?;
        if let Some(pos_weight) = pos_weight {
            ones = ones.f_mul(pos_weight)?;
        }
        let zeros = (-y + 1.0).f_mul(&log_rest)?.f_mul(&power(&log_p)?)?;
        let sum = ones.f_add(&zeros)?.f_neg()?;
        match weight {
            Some(weight) => sum.f_mul(weight),
            None => Ok(sum),
        }
    };
    each().map_err(torch)
}
