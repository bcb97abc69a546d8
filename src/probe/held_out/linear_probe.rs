//! What each frozen encoder knows, whatever the fusion makes of it.

use std::fmt;

use tch::{Kind, TchError, Tensor};

use super::{ValueFunction, accuracy, cat, failed, flat, to_host};
use crate::{
    batch::{Batch, SplitBatch},
    error::{self, Result},
    step::Measurement,
    student::Student,
};

/// The worth of a linear model on each encoder's features (`linear_probe`): fitted on one set of
/// batches, measured on another, with the encoder in evaluation mode, each over the samples that have
/// the modality.
///
/// Ridge regression in closed form, in `Double` on the host: with Z the fit set's features, every
/// column standardised (one that does not vary becomes 0), and Y the targets minus their mean, one-hot
/// for class labels, W = (ZᵀZ/n + λI)⁻¹ ZᵀY/n, or its dual Zᵀ(ZZᵀ/n + λI)⁻¹ Y/n where there are fewer
/// samples than features. The prediction is zW + ȳ. Exact and deterministic: no steps, no seed.
///
/// Costs one pass of every encoder over both sets, O(n d min(n, d)) and min(n, d)² numbers of memory.
///
/// Source: Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
pub struct LinearProbe {
    lambda: f64,
    value: ValueFunction,
}

impl Default for LinearProbe {
    /// λ = 10⁻², accuracy as worth.
    fn default() -> Self {
        Self { lambda: 1e-2, value: accuracy() }
    }
}

impl LinearProbe {
    /// With λ > 0, in units of the standardised features' variance.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for another λ.
    pub fn ridge(lambda: f64) -> Result<Self> {
        if lambda.is_finite() && lambda > 0.0 {
            return Ok(Self { lambda, ..Self::default() });
        }
        let hint = "10⁻² suits most features";
        Err(error::config("λ of LinearProbe", "a number above 0", lambda.to_string(), hint))
    }

    /// With another worth; higher is better: `|p, y| metrics::r2(p, y)` for a regression.
    pub fn value_function(self, value: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'static) -> Self {
        Self { value: Box::new(value), ..self }
    }

    /// Fits on `fit` and measures on `test`, both on the student's device. A modality that no sample
    /// of either has is left out.
    ///
    /// # Errors
    /// Any error of a batch, of the student or of the worth; [`Error::Target`](crate::error::Error::Target)
    /// for a label below 0; [`Error::NonFinite`](crate::error::Error::NonFinite) for features that are not.
    pub fn measure(
        &self,
        student: &dyn Student,
        fit: &[Batch],
        test: &[Batch],
    ) -> Result<Vec<Measurement>> {
        let _no_grad = tch::no_grad_guard();
        let mut found = Vec::new();
        for (m, modality) in student.modalities().iter().enumerate() {
            let (Some(fit), Some(test)) = (encoded(student, m, fit)?, encoded(student, m, test)?)
            else {
                continue;
            };
            let predictions = self.predict(&fit, &test.0)?;
            let value = (self.value)(&predictions, &test.1)?;
            found.push(Measurement::new("linear_probe", modality, value));
        }
        Ok(found)
    }

    /// Predictions [N, C] at `at` [N, d] of the model fitted to features [n, d] and targets.
    fn predict(&self, (x, targets): &(Tensor, Tensor), at: &Tensor) -> Result<Tensor> {
        let y = wanted(targets)?;
        let solve = || {
            let columns = [0_i64];
            let mean = x.f_mean_dim(columns.as_slice(), true, None::<Kind>)?;
            let centred = x.f_sub(&mean)?;
            let spread = centred.f_square()?.f_mean_dim(columns.as_slice(), true, None::<Kind>)?;
            let spread = spread.f_sqrt()?;
            let varies = spread.f_gt_tensor(&spread.f_zeros_like()?)?;
            let scale = spread.f_reciprocal()?.f_where_self(&varies, &spread.f_zeros_like()?)?;
            let z = centred.f_mul(&scale)?;
            let level = y.f_mean_dim(columns.as_slice(), true, None::<Kind>)?;
            let w = self.weights(&z, &y.f_sub(&level)?)?;
            at.f_sub(&mean)?.f_mul(&scale)?.f_matmul(&w)?.f_add(&level)
        };
        solve().map_err(failed)
    }

    fn weights(&self, z: &Tensor, y: &Tensor) -> std::result::Result<Tensor, TchError> {
        let (n, d) = (z.size()[0], z.size()[1]);
        let ridge = Tensor::f_eye(n.min(d), (Kind::Double, z.device()))? * self.lambda;
        let zt = z.f_tr()?;
        let solve = |gram: Tensor, right: &Tensor| {
            let factor = (gram / n as f64).f_add(&ridge)?.f_linalg_cholesky(false)?;
            (right / n as f64).f_cholesky_solve(&factor, false)
        };
        if d <= n {
            solve(zt.f_matmul(z)?, &zt.f_matmul(y)?)
        } else {
            zt.f_matmul(&solve(z.f_matmul(&zt)?, y)?)
        }
    }
}

impl fmt::Debug for LinearProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinearProbe").field("lambda", &self.lambda).finish_non_exhaustive()
    }
}

/// Features of modality `m` and targets of all samples that have it, on the host.
fn encoded(student: &dyn Student, m: usize, batches: &[Batch]) -> Result<Option<(Tensor, Tensor)>> {
    let (mut features, mut targets) = (Vec::new(), Vec::new());
    for batch in batches {
        batch.check(student.modalities(), batch.device())?;
        let parts = SplitBatch::new(batch, student.modalities().len())?;
        if let Some(part) = parts.get(m) {
            features.push(flat(&student.encode(m, part, false)?)?);
            targets.push(to_host(part.targets())?);
        }
    }
    if features.is_empty() {
        return Ok(None);
    }
    let features = cat(&features)?;
    if features.isfinite().all().int64_value(&[]) == 0 {
        let what = format!("features of modality {:?}", student.modalities()[m]);
        let hint = "check the encoder's weights and inputs for NaN";
        return Err(error::non_finite(what, "finite values", "NaN or infinity", hint));
    }
    Ok(Some((features, cat(&targets)?)))
}

/// What the model is fitted to, `Double` [n, C]: one-hot rows of labels, or the values themselves.
fn wanted(targets: &Tensor) -> Result<Tensor> {
    if targets.kind() != Kind::Int64 || targets.dim() != 1 {
        let values = || targets.f_reshape([targets.size()[0], -1])?.f_to_kind(Kind::Double);
        return values().map_err(failed);
    }
    let least = targets.min().int64_value(&[]);
    if least < 0 {
        let hint = "check the labels";
        return Err(error::target("targets", "classes from 0", least.to_string(), hint));
    }
    targets.f_one_hot(-1).and_then(|rows| rows.f_to_kind(Kind::Double)).map_err(failed)
}
