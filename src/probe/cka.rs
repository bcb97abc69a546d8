//! Do student and teacher see the samples alike?

use tch::{Kind, TchError, Tensor};

use super::{ImbalanceProbe, is_due, means::Means};
use crate::{
    error::{Error, Result},
    state::State,
    step::{Measurement, Observation},
    transfer,
};

/// Linear CKA of the student's features X [B, d] with the teacher's Y [B, d'], over the samples that
/// have m (`cka_teacher`): 1 where the two are the same up to rotation and scale, about 0 where they
/// share nothing. Widths may differ.
///
/// The debiased form over mini-batches: with K = XXᵀ, L = YYᵀ and their diagonals set to 0,
/// HSIC₁(K, L) = [tr(KL) + ΣK·ΣL / ((n−1)(n−2)) − 2·1ᵀKL1 / (n−2)] / (n(n−3)), and CKA is the mean of
/// HSIC₁(K, L) over the epoch's batches (weighted by their rows) divided by the root of the means of
/// HSIC₁(K, K) and HSIC₁(L, L). The plain form is drawn towards 1 where a batch has fewer samples than
/// features; this one is not, and may come out a little below 0. Batches with fewer than 4 rows do not
/// count; nothing is said where a mean under the root is not above 0, and without teachers.
///
/// Costs O(B²(d + d')) in every `every`-th step; no wait.
///
/// Source: Kornblith et al., "Similarity of Neural Network Representations Revisited", ICML 2019;
/// HSIC₁ of Song et al., JMLR 2012, over mini-batches as in Nguyen, Raghu & Kornblith, ICLR 2021.
#[derive(Debug)]
pub struct TeacherCka {
    every: u64,
    cross: Means,
    student: Means,
    teacher: Means,
}

impl TeacherCka {
    /// Observes the first of every `every` steps of the optimizer; 0 is taken as 1.
    pub fn every(every: u64) -> Self {
        Self {
            every: every.max(1),
            cross: Means::new("cka_teacher"),
            student: Means::new("hsic_student"),
            teacher: Means::new("hsic_teacher"),
        }
    }
}

impl ImbalanceProbe for TeacherCka {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        if !is_due(step, self.every) {
            return Ok(());
        }
        for (m, teacher) in step.teachers.iter().enumerate() {
            let rows = step.samples(m);
            let Some(teacher) = teacher else { continue };
            if rows < 4 {
                continue;
            }
            let Some(student) = step.features(m)? else { continue };
            let failed = |source| Error::torch("compare features with a teacher's", source);
            let (k, l) = (
                similarities(&student).map_err(failed)?,
                similarities(&teacher.features).map_err(failed)?,
            );
            for (means, a, b) in [
                (&mut self.cross, &k, &l),
                (&mut self.student, &k, &k),
                (&mut self.teacher, &l, &l),
            ] {
                let value = hsic(a, b, rows as f64).map_err(failed)?;
                means.of(step.modalities(), m).add(&value, rows as f64)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let (cross, student, teacher) =
            (self.cross.take()?, self.student.take()?, self.teacher.take()?);
        let each = cross.into_iter().zip(student).zip(teacher);
        let cka = each.filter_map(|((cross, student), teacher)| {
            let value = cross.value / (student.value * teacher.value).sqrt();
            let defined = student.value > 0.0 && teacher.value > 0.0 && value.is_finite();
            defined.then_some(Measurement { value, ..cross })
        });
        Ok(cka.collect())
    }

    fn state(&self) -> Result<State> {
        Means::save(&[&self.cross, &self.student, &self.teacher])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.cross, &mut self.student, &mut self.teacher])
    }
}

/// XXᵀ [n, n] with a zero diagonal, of X [n, …]. Centred first: HSIC₁ does not see that, but large
/// means would cost digits.
fn similarities(features: &Tensor) -> std::result::Result<Tensor, TchError> {
    let x = features.f_flatten(1, -1)?.f_to_kind(transfer::wide_kind(features.device()))?;
    let x = x.f_sub(&x.f_mean_dim([0_i64].as_slice(), true, None::<Kind>)?)?;
    let k = x.f_matmul(&x.f_tr()?)?;
    k.f_sub(&k.f_diag(0)?.f_diag(0)?)
}

/// HSIC₁ of two symmetric [n, n] with zero diagonals, n ≥ 4.
fn hsic(k: &Tensor, l: &Tensor, n: f64) -> std::result::Result<Tensor, TchError> {
    let sums = |t: &Tensor| t.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>);
    let (rows_k, rows_l) = (sums(k)?, sums(l)?);
    let trace = k.f_mul(l)?.f_sum(None::<Kind>)?;
    let totals = rows_k.f_sum(None::<Kind>)?.f_mul(&rows_l.f_sum(None::<Kind>)?)?;
    let crossed = rows_k.f_dot(&rows_l)?;
    let sum =
        trace.f_add(&(totals / ((n - 1.0) * (n - 2.0))))?.f_sub(&(crossed * (2.0 / (n - 2.0))))?;
    Ok(sum / (n * (n - 3.0)))
}
