//! Shapley values of logits.

use tch::Tensor;

use crate::error::{self, Result};

/// The Shapley value φ_m of each of k modalities in fused logits, which sum to the logits of all:
///
/// ```text
/// φ_m = Σ over sets S without m of  |S|! (k − |S| − 1)! / k! · (z(S ∪ m) − z(S)),   z(∅) = 0
/// ```
///
/// `logits[S − 1]` is z(S) for the non-empty set S, in which bit m stands for modality m: 2ᵏ − 1 tensors of
/// one shape.
///
/// # Errors
/// [`Error::Config`](crate::Error::Config) for another number of tensors;
/// [`Error::Torch`](crate::Error::Torch) for different shapes.
pub fn attributions(logits: &[Tensor]) -> Result<Vec<Tensor>> {
    let sets = logits.len() + 1;
    if sets < 2 || !sets.is_power_of_two() {
        let hint = "pass z(S) for every non-empty set S of modalities";
        let expected = "2^k − 1 tensors for k modalities";
        return Err(error::config(
            "logits of the sets of modalities",
            expected,
            logits.len(),
            hint,
        ));
    }
    let k = sets.trailing_zeros();
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    let weight = |size: u32| factorial(size) * factorial(k - size - 1) / factorial(k);
    let attribution = |m: u32| -> Result<Tensor> {
        let mut sum = logits[0].f_zeros_like()?;
        for set in (0..sets).filter(|set| set >> m & 1 == 0) {
            let with = &logits[(set | 1 << m) - 1];
            let gain = if set == 0 { with.shallow_clone() } else { with.f_sub(&logits[set - 1])? };
            sum = sum.f_add(&gain.f_mul_scalar(weight(set.count_ones()))?)?;
        }
        Ok(sum)
    };
    (0..k).map(attribution).collect()
}
