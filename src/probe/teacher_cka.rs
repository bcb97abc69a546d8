//! Similarity of student and teacher features.

use tch::{Kind, Tensor};

use super::{ImbalanceProbe, interval::Interval, means::Means, vectors::TchResult};
use crate::error::{Error, Result};
use crate::step::{Measurement, Observation};
use crate::transfer;

/// `cka_teacher`: linear centred kernel alignment (CKA) of the student's features X [B_m, d] with the
/// teacher's Y [B_m, d'], for each modality m. The widths may differ.
///
/// It is 1 for features that are equal up to rotation and scale, and about 0 for unrelated ones. The
/// debiased estimator over mini-batches is used, since the plain one tends to 1 for batches with fewer
/// samples than features; it may be slightly negative. With K = XXᵀ and L = YYᵀ, their diagonals set to
/// 0, and n = B_m, HSIC₁(K, L) = [tr(KL) + ΣK·ΣL / ((n−1)(n−2)) − 2·1ᵀKL1 / (n−2)] / (n(n−3)). CKA is the
/// mean of HSIC₁(K, L) over the observed batches, weighted by n, divided by the square root of the
/// product of the means of HSIC₁(K, K) and HSIC₁(L, L).
///
/// Batches with n < 4 are ignored. CKA is omitted where one of the means under the root is not positive,
/// and without teachers; it is NaN if a feature was not finite. A batch of several ranks is their combined
/// batch. Cost: O(B²(d + d')) per observed step; with several ranks, also their features in host memory.
///
/// Sources: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019;
/// HSIC₁ of Song et al., JMLR 2012, over mini-batches as in Nguyen, Raghu & Kornblith, ICLR 2021.
#[derive(Debug)]
pub struct TeacherCka {
    interval: Interval,
    cross: Means,
    student: Means,
    teacher: Means,
}

impl TeacherCka {
    /// Observes the first of every `interval` optimizer steps; 0 is treated as 1.
    pub fn with_interval(interval: u64) -> Self {
        Self {
            interval: Interval::new(interval),
            cross: Means::new("cka_teacher"),
            student: Means::new("hsic_student"),
            teacher: Means::new("hsic_teacher"),
        }
    }
}

impl ImbalanceProbe for TeacherCka {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        if !self.interval.includes(step) {
            return Ok(());
        }
        for (m, teacher) in step.teachers.iter().enumerate() {
            let teacher = teacher.as_ref().map(|teacher| &teacher.features);
            let student = step.ranks.gather_rows(step.features(m)?.as_ref())?;
            let Some((student, teacher)) = student.zip(step.ranks.gather_rows(teacher)?) else {
                continue;
            };
            let n = student.size()[0] as f64;
            if n < 4.0 {
                continue;
            }
            let failed = |source| Error::torch("compute the CKA with a teacher", source);
            let k = gram(&student).map_err(failed)?;
            let l = gram(&teacher).map_err(failed)?;
            for (means, a, b) in [
                (&mut self.cross, &k, &l),
                (&mut self.student, &k, &k),
                (&mut self.teacher, &l, &l),
            ] {
                let mean = means.modality(step.modalities(), m);
                let value = hsic(a, b, n).map_err(failed)?;
                mean.add(&value, n * step.weight_of_rank())?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let [cross, student, teacher] =
            [self.cross.take()?, self.student.take()?, self.teacher.take()?];
        let each = cross.into_iter().zip(student).zip(teacher);
        let cka = each.filter_map(|((cross, student), teacher)| {
            let value = cross.value / (student.value * teacher.value).sqrt();
            let undefined = student.value <= 0.0 || teacher.value <= 0.0;
            (!undefined).then_some(Measurement { value, ..cross })
        });
        Ok(cka.collect())
    }

    means_state!(cross, student, teacher);
}

/// XXᵀ [n, n] of X [n, …] with a zero diagonal. HSIC₁ is invariant to the mean of X; subtracting it
/// avoids cancellation where the mean is large.
fn gram(features: &Tensor) -> TchResult<Tensor> {
    let x = features.f_flatten(1, -1)?.f_to_kind(transfer::wide_kind(features.device()))?;
    let x = x.f_sub(&x.f_mean_dim([0_i64].as_slice(), true, None::<Kind>)?)?;
    let k = x.f_matmul(&x.f_tr()?)?;
    k.f_sub(&k.f_diag(0)?.f_diag(0)?)
}

/// HSIC₁ of two symmetric matrices [n, n] with zero diagonals, for n ≥ 4.
fn hsic(k: &Tensor, l: &Tensor, n: f64) -> TchResult<Tensor> {
    let sums = |t: &Tensor| t.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>);
    let (rows_k, rows_l) = (sums(k)?, sums(l)?);
    let trace = k.f_mul(l)?.f_sum(None::<Kind>)?;
    let totals = rows_k.f_sum(None::<Kind>)?.f_mul(&rows_l.f_sum(None::<Kind>)?)?;
    let crossed = rows_k.f_dot(&rows_l)?;
    let sum =
        trace.f_add(&(totals / ((n - 1.0) * (n - 2.0))))?.f_sub(&(crossed * (2.0 / (n - 2.0))))?;
    Ok(sum / (n * (n - 3.0)))
}
