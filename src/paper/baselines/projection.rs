//! The projection of MLA.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::error::Result;

/// The projection P of the gradient G of the shared head's weight, in turns of mean feature r.
///
/// α = 0.1^(batch/batches + 1), where the batch is counted from 0 in the epoch. P is the identity at the
/// start of the run, and the run's first turn has no projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MlaProjection {
    /// No projection: what the authors' code does. It looks for a parameter called `module.weight`, and the
    /// head's is called `weight`. The results of the G²D paper's fork are most likely of this form.
    AsRun,
    /// What the authors' code contains: P ← P − (P r)(P r)ᵀ ⊘ (α + (P r) rᵀ) elementwise, where the outer
    /// product stands for rᵀ P r by mistake, then P ← P/‖P‖ (Frobenius) and G ← G Pᵀ. r is of this turn.
    AsWritten,
    /// Recursive least squares: P ← P − (P r)(P r)ᵀ/(α + rᵀ P r), G ← G P, with r of this turn, as in the
    /// authors' code.
    Current,
    /// The same with r of the modality that was stepped before, so that the head changes least for its
    /// features; from memory, the paper's formula.
    #[default]
    Previous,
}

/// P, and what its next update needs.
#[derive(Debug)]
pub(super) struct Projection {
    kind: MlaProjection,
    matrix: Option<Tensor>,
    /// r of the turn before.
    previous: Option<Tensor>,
    turns: u64,
}

impl Clone for Projection {
    /// Shares the tensors, which are never changed in place.
    fn clone(&self) -> Self {
        let shared = |tensor: &Option<Tensor>| tensor.as_ref().map(Tensor::shallow_clone);
        let (matrix, previous) = (shared(&self.matrix), shared(&self.previous));
        Self { kind: self.kind, matrix, previous, turns: self.turns }
    }
}

impl Projection {
    /// The projection at the start of a run.
    pub(super) fn new(kind: MlaProjection) -> Self {
        Self { kind, matrix: None, previous: None, turns: 0 }
    }

    pub(super) fn from_parts(
        kind: MlaProjection,
        matrix: Option<Tensor>,
        previous: Option<Tensor>,
        turns: u64,
    ) -> Self {
        Self { kind, matrix, previous, turns }
    }

    pub(super) fn matrix(&self) -> Option<&Tensor> {
        self.matrix.as_ref()
    }

    pub(super) fn previous(&self) -> Option<&Tensor> {
        self.previous.as_ref()
    }

    pub(super) fn turns(&self) -> u64 {
        self.turns
    }

    /// Makes a turn whose mean feature is `mean` \[d\]; returns P if the gradient is projected.
    pub(super) fn turn(&mut self, mean: &Tensor, alpha: f64) -> Result<Option<&Tensor>> {
        let _no_grad = tch::no_grad_guard();
        let is_first = self.turns == 0;
        self.turns += 1;
        if self.kind == MlaProjection::AsRun {
            return Ok(None);
        }
        let before = self.previous.replace(mean.shallow_clone());
        let old = match self.matrix.take() {
            Some(matrix) => matrix,
            None => Tensor::f_eye(mean.size()[0], (mean.kind(), mean.device()))?,
        };
        let r = match (self.kind, before) {
            (MlaProjection::Previous, Some(before)) => before,
            _ => mean.shallow_clone(),
        };
        self.matrix = Some(if is_first { old } else { updated(self.kind, &old, &r, alpha)? });
        Ok(self.matrix.as_ref().filter(|_| !is_first))
    }
}

/// The next P.
fn updated(
    kind: MlaProjection,
    p: &Tensor,
    r: &Tensor,
    alpha: f64,
) -> std::result::Result<Tensor, TchError> {
    let pr = p.f_mv(r)?;
    let outer = pr.f_outer(&pr)?;
    if kind == MlaProjection::AsWritten {
        let next = p.f_sub(&outer.f_div(&pr.f_outer(r)?.f_add_scalar(alpha)?)?)?;
        return next.f_div(&next.f_norm()?);
    }
    p.f_sub(&outer.f_div(&r.f_dot(&pr)?.f_add_scalar(alpha)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recursive_least_squares_inverts_the_sum_of_outer_products() {
        // P after r_1, …, r_n with one α is α (α I + Σ r rᵀ)⁻¹ for P = I at first and α inside.
        let (alpha, d) = (0.25, 3);
        let features: Vec<Tensor> = [[1.0, 2.0, 0.5], [-0.5, 1.0, 2.0], [0.25, -1.0, 1.5]]
            .iter()
            .map(|r| Tensor::from_slice(r))
            .collect();
        let mut own = Projection::new(MlaProjection::Current);
        for r in &features {
            own.turn(r, alpha).unwrap();
        }
        // The first turn does not change P.
        let sum: Tensor = features[1..].iter().map(|r| r.outer(r)).sum();
        let eye = Tensor::eye(d, tch::kind::DOUBLE_CPU);
        let expected = (sum / alpha + eye).inverse();
        assert!(f64::try_from((own.matrix().unwrap() - expected).abs().max()).unwrap() < 1e-13);
    }

    #[test]
    fn previous_uses_the_mean_feature_of_the_turn_before() {
        let [a, b] = [[1.0, 0.0], [0.0, 2.0]].map(|r| Tensor::from_slice(&r));
        let mut own = Projection::new(MlaProjection::Previous);
        assert!(own.turn(&a, 0.5).unwrap().is_none());
        // P = I − a aᵀ/(½ + 1) = diag(1/3, 1).
        let p: Vec<f64> = own.turn(&b, 0.5).unwrap().unwrap().reshape(-1).try_into().unwrap();
        assert!((p[0] - 1.0 / 3.0).abs() < 1e-15 && p[1..] == [0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_projection_as_written_divides_elementwise_and_normalises() {
        let r = Tensor::from_slice(&[1.0, 2.0]);
        let mut own = Projection::new(MlaProjection::AsWritten);
        assert!(own.turn(&r, 0.5).unwrap().is_none());
        // I − r rᵀ ⊘ (½ + r rᵀ) = [[1 − 1/1.5, −2/2.5], [−2/2.5, 1 − 4/4.5]], then its norm.
        let expected = [1.0 - 1.0 / 1.5, -0.8, -0.8, 1.0 - 4.0 / 4.5];
        let norm = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
        let p: Vec<f64> = own.turn(&r, 0.5).unwrap().unwrap().reshape(-1).try_into().unwrap();
        for (found, expected) in p.iter().zip(expected) {
            assert!((found - expected / norm).abs() < 1e-15, "{p:?}");
        }
    }
}
