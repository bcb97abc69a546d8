//! Ridge regression on the features of each frozen encoder.

use std::fmt;

use tch::{Kind, Tensor};

use super::{ValueFunction, cat, check_features, check_finite, failed, flat, to_host};
use crate::batch::{Batch, SplitBatch};
use crate::error::{self, Result};
use crate::metrics;
use crate::probe::vectors::TchResult;
use crate::step::Measurement;
use crate::student::{Caught, Student};

/// `linear_probe`: the value of a linear model on the features of each encoder in evaluation mode, fitted
/// on one set of batches and measured on another, over the samples that have the modality.
///
/// The model is ridge regression in closed form, computed as `Double` on the host. Z are the features of
/// the fit set with standardised columns (constant columns become 0), Y the targets minus their mean ȳ,
/// one-hot for class labels. The weights are W = (ZᵀZ/n + λI)⁻¹ ZᵀY/n, or in the dual form
/// Zᵀ(ZZᵀ/n + λI)⁻¹ Y/n for fewer samples than features, and the prediction is zW + ȳ. The result is exact
/// and deterministic.
///
/// Cost: one pass of every encoder over both sets, O(n d min(n, d)) operations and min(n, d)² numbers.
///
/// Source: Alain & Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
pub struct LinearProbe {
    lambda: f64,
    value: ValueFunction,
}

impl Default for LinearProbe {
    /// λ = 10⁻², accuracy as value function; for several labels per sample, a label is predicted where
    /// the model's value for it is above ½.
    fn default() -> Self {
        let accuracy = |predictions: &Tensor, targets: &Tensor| match targets.dim() {
            1 => metrics::accuracy(predictions, targets),
            _ => metrics::accuracy(&(predictions - 0.5), targets),
        };
        Self { lambda: 1e-2, value: Box::new(accuracy) }
    }
}

impl LinearProbe {
    /// With regularisation λ > 0, relative to the variance of the standardised features.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for another λ.
    pub fn with_ridge(lambda: f64) -> Result<Self> {
        if lambda.is_finite() && lambda > 0.0 {
            return Ok(Self { lambda, ..Self::default() });
        }
        Err(error::out_of_range("λ of LinearProbe", "a finite number above 0", lambda))
    }

    /// Sets the value function, for example `|p, y| metrics::r2(p, y)` for a regression. A higher value is
    /// better.
    pub fn value_function(self, value: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'static) -> Self {
        Self { value: Box::new(value), ..self }
    }

    /// Fits on `fit` and measures on `test`, both on the student's device. Omits a modality that no sample
    /// of one of them has.
    ///
    /// # Errors
    /// Any error of a batch, of the student or of the value function;
    /// [`Error::Target`](crate::Error::Target) for a label below 0;
    /// [`Error::NonFinite`](crate::Error::NonFinite) for features, targets or a value that are not
    /// finite; [`Error::Shape`](crate::Error::Shape) for features that do not have one row per sample.
    pub fn measure(
        &self,
        student: &dyn Student,
        fit: &[Batch],
        test: &[Batch],
    ) -> Result<Vec<Measurement>> {
        let _no_grad = tch::no_grad_guard();
        let student = &Caught(student);
        let mut found = Vec::new();
        for (m, modality) in student.modalities().iter().enumerate() {
            let Some(fit) = encode(student, m, fit)? else { continue };
            let Some((features, targets)) = encode(student, m, test)? else { continue };
            let value = (self.value)(&self.predict(&fit, &features)?, &targets)?;
            if !value.is_finite() {
                let what = format!("value of the linear probe of modality {modality:?}");
                let hint = "check the value function";
                return Err(error::non_finite(what, "a finite number", value, hint));
            }
            found.push(Measurement::new("linear_probe", modality, value));
        }
        Ok(found)
    }

    /// Fits features [n, d] and targets, and predicts [N, C] from the features `at` [N, d].
    fn predict(&self, (x, targets): &(Tensor, Tensor), at: &Tensor) -> Result<Tensor> {
        let y = regression_targets(targets)?;
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

    /// W [d, C] of standardised features [n, d] and centred targets [n, C].
    fn weights(&self, z: &Tensor, y: &Tensor) -> TchResult<Tensor> {
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

/// Features of modality `m` and targets of all samples that have it, on the host; `None` without any.
fn encode(student: &dyn Student, m: usize, batches: &[Batch]) -> Result<Option<(Tensor, Tensor)>> {
    let (mut features, mut targets) = (Vec::new(), Vec::new());
    for batch in batches {
        batch.check(student.modalities(), batch.device())?;
        let parts = SplitBatch::new(batch, student.modalities().len())?;
        if let Some(part) = parts.get(m) {
            let own = student.encode(m, part, false)?;
            check_features(&own, &student.modalities()[m], part)?;
            features.push(flat(&own)?);
            targets.push(to_host(part.targets())?);
        }
    }
    if features.is_empty() {
        return Ok(None);
    }
    let (features, targets) = (cat(&features)?, cat(&targets)?);
    check_finite(format_args!("features of modality {:?}", student.modalities()[m]), &features)?;
    if targets.is_floating_point() {
        check_finite("targets of the linear probe", &targets)?;
    }
    Ok(Some((features, targets)))
}

/// The targets of the ridge regression as `Double` [n, C]: one-hot for class labels.
fn regression_targets(targets: &Tensor) -> Result<Tensor> {
    if targets.kind() != Kind::Int64 || targets.dim() != 1 {
        let values = || targets.f_reshape([targets.size()[0], -1])?.f_to_kind(Kind::Double);
        return values().map_err(failed);
    }
    let least = targets.min().int64_value(&[]);
    if least < 0 {
        return Err(error::target("targets", "class labels from 0", least, "check the labels"));
    }
    targets.f_one_hot(-1).and_then(|rows| rows.f_to_kind(Kind::Double)).map_err(failed)
}
