//! Class prototypes: mean features.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::saved_tensor::SavedTensor;
use crate::algorithm::Session;
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::student::Student;

/// The smallest squared distance whose root is differentiated.
const LEAST_SQUARE: f64 = 1e-24;

/// The mean feature of every class in each modality.
#[derive(Debug)]
pub(super) struct Prototypes {
    /// [C, d_m] of each modality.
    means: Vec<Tensor>,
    /// Whether a class has had samples.
    known: Vec<bool>,
}

/// Prototypes in a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedPrototypes {
    means: Vec<SavedTensor>,
    known: Vec<bool>,
}

impl Prototypes {
    /// The prototypes of `batches`, in evaluation mode and without gradient.
    pub(super) fn compute(
        session: &Session,
        student: &dyn Student,
        batches: &mut dyn Iterator<Item = Result<Batch>>,
    ) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let mut sums: Option<(Vec<Tensor>, Tensor)> = None;
        for batch in batches {
            let batch = batch?;
            let pass = session.pass(student, &batch)?;
            let features = pass.encode_vectors(false)?;
            let logits = pass.fuse(&features, false)?;
            let labels = pass.labels(&logits)?;
            let options = (features[0].kind(), features[0].device());
            let (means, counts) = match &mut sums {
                Some(sums) => sums,
                None => {
                    let classes = logits.size()[1];
                    let zeros = |own: &Tensor| Tensor::f_zeros([classes, own.size()[1]], options);
                    let means = features.iter().map(zeros);
                    let means = means.collect::<std::result::Result<Vec<_>, _>>()?;
                    sums.insert((means, Tensor::f_zeros([classes], options)?))
                }
            };
            for (sum, own) in means.iter_mut().zip(&features) {
                let _ = sum.f_index_add_(0, labels, own)?;
            }
            let ones = Tensor::f_ones(labels.size(), options)?;
            let _ = counts.f_index_add_(0, labels, &ones)?;
        }
        let Some((means, counts)) = sums else {
            let hint = "give `begin_epoch` some of the training batches";
            return Err(error::config("prototypes", "at least one batch", "none", hint));
        };
        let on_host = counts.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        let known = Vec::<f64>::try_from(on_host)?;
        let divisor = counts.f_clamp_min(1.0)?.f_unsqueeze(1)?;
        let means = means.iter().map(|sum| sum.f_div(&divisor));
        Ok(Self {
            means: means.collect::<std::result::Result<_, _>>()?,
            known: known.iter().map(|&count| count > 0.0).collect(),
        })
    }

    /// Makes the prototypes (1 − `momentum`) times themselves plus `momentum` times `old`. A class that only
    /// `old` has keeps its old prototype.
    pub(super) fn blend(&mut self, old: &Self, momentum: f64) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let keep = |(new, old): (&bool, &bool)| match (new, old) {
            (true, true) => momentum,
            (true, false) => 0.0,
            (false, _) => 1.0,
        };
        let keep: Vec<f64> = self.known.iter().zip(&old.known).map(keep).collect();
        let keep = Tensor::f_from_slice(&keep)?.f_unsqueeze(1)?;
        for (new, old) in self.means.iter_mut().zip(&old.means) {
            let keep = keep.f_to_kind(new.kind())?.f_to_device(new.device())?;
            *new = new.f_mul(&(1.0 - &keep))?.f_add(&old.f_mul(&keep)?)?;
        }
        self.known.iter_mut().zip(&old.known).for_each(|(new, old)| *new |= old);
        Ok(())
    }

    /// −‖f − c\[j\]‖ for features [B, d] of modality `m` and every class with a prototype, and the labels as
    /// indices of these classes; without the samples of other classes.
    pub(super) fn similarity(
        &self,
        m: usize,
        features: &Tensor,
        labels: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (mut means, mut features) = (self.means[m].shallow_clone(), features.shallow_clone());
        let mut labels = labels.shallow_clone();
        if features.size()[1] != means.size()[1] {
            let expected = format!("[B, {}], as in `begin_epoch`", means.size()[1]);
            let hint = "begin the epoch with the same student";
            return Err(error::wrong_shape("features", expected, &features.size(), hint));
        }
        if self.known.contains(&false) {
            let classes: Vec<i64> =
                (0..).zip(&self.known).filter(|(_, known)| **known).map(|(j, _)| j).collect();
            let mut index = vec![-1_i64; self.known.len()];
            (0..).zip(&classes).for_each(|(i, &class)| index[class as usize] = i);
            let on_device =
                |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(means.device());
            let of_labels = on_device(&index)?.f_index_select(0, &labels)?;
            let rows = of_labels.f_ge(0)?.f_nonzero()?.f_squeeze_dim(1)?;
            labels = of_labels.f_index_select(0, &rows)?;
            features = features.f_index_select(0, &rows)?;
            means = means.f_index_select(0, &on_device(&classes)?)?;
        }
        let offsets = features.f_unsqueeze(1)?.f_sub(&means.f_unsqueeze(0)?)?;
        let squares = offsets.f_square()?.f_sum_dim_intlist(2, false, None)?;
        Ok((-squares.f_clamp_min(LEAST_SQUARE)?.f_sqrt()?, labels))
    }

    /// The prototypes [C, d_m] of modality `m`.
    pub(super) fn of(&self, m: usize) -> &Tensor {
        &self.means[m]
    }

    /// Their numbers; synchronises with the device.
    pub(super) fn state(&self) -> Result<SavedPrototypes> {
        let means = self.means.iter().map(SavedTensor::new).collect::<Result<_>>()?;
        Ok(SavedPrototypes { means, known: self.known.clone() })
    }

    /// Prototypes with dtype and device of `like`.
    pub(super) fn from_state(state: &SavedPrototypes, like: &Tensor) -> Result<Self> {
        let means = state.means.iter().map(|own| own.tensor(like)).collect::<Result<Vec<_>>>()?;
        let classes = state.known.len() as i64;
        if means.len() != 2 || means.iter().any(|own| own.dim() != 2 || own.size()[0] != classes) {
            let found = format!("{:?}", means.iter().map(Tensor::size).collect::<Vec<_>>());
            let expected = format!("two of [{classes}, d]");
            return Err(error::foreign_state("prototypes", expected, found));
        }
        Ok(Self { means, known: state.known.clone() })
    }
}
