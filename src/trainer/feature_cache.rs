//! Features of suppressed encoders, computed once as long as nothing of the encoder changes.

use std::collections::HashMap;

use tch::{Device, Kind, TchError, Tensor};

use crate::batch::{Batch, Input};
use crate::error::{self, Error, Result};
use crate::modality::Modality;
use crate::parameters::{ModalityParams, Version};
use crate::transfer;

/// The number of elements of a sample's input that its fingerprint reads.
const SAMPLED: i64 = 1024;

/// The features of each modality's encoder in evaluation mode, by sample id.
#[derive(Debug)]
pub(super) struct FeatureCache(Vec<Recorded>);

/// The features of an encoder in one state.
#[derive(Debug, Default)]
struct Recorded {
    /// The state of the encoder's variables.
    version: Version,
    /// The row of each sample id in the tensors below.
    rows: HashMap<i64, i64>,
    /// Features [N, d, …] and fingerprints \[N\] of the inputs; N grows in steps.
    tensors: Option<[Tensor; 2]>,
}

impl FeatureCache {
    /// An empty cache for `k` modalities.
    pub(super) fn new(k: usize) -> Self {
        Self(std::iter::repeat_with(Recorded::default).take(k).collect())
    }

    /// Forgets the features of modality `m`, whose encoder learns.
    pub(super) fn forget(&mut self, m: usize) {
        self.0[m] = Recorded::default();
    }

    /// The features of `batch` by encoder `m`, which does not learn; calls `encode` if a sample is new, or if
    /// a variable of the encoder has changed since the last call.
    pub(super) fn features(
        &mut self,
        m: usize,
        modality: &Modality,
        batch: &Batch,
        params: &ModalityParams,
        encode: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let ids = batch.ids().ok_or_else(|| {
            let hint = "add them with `Batch::with_ids`, or choose another suppressed mode";
            error::cache(what(modality), "a batch with sample ids", "none", hint)
        })?;
        if params.gradients(m).next().is_some() {
            // An optimizer will still apply what an earlier micro-batch has left.
            self.forget(m);
            return encode();
        }
        let torch = |e| Error::torch(format!("look up the {}", what(modality)), e);
        let version = params.version(m)?;
        let recorded = &mut self.0[m];
        if recorded.version != version {
            *recorded = Recorded { version, ..Recorded::default() };
        }
        let prints = fingerprints(batch.checked_input(m)?).map_err(torch)?;
        if let Some(rows) = recorded.rows_of(ids) {
            return recorded.select(&rows, &prints, modality);
        }
        let features = encode()?.detach();
        let added = recorded.add(ids, &features, &prints).map_err(torch);
        if added.is_err() {
            self.forget(m); // what was added in part
        }
        added.map(|()| features)
    }
}

impl Recorded {
    /// The rows of all samples; `None` if one is new.
    fn rows_of(&self, ids: &[i64]) -> Option<Vec<i64>> {
        ids.iter().map(|id| self.rows.get(id).copied()).collect()
    }

    /// The features in `rows`, if the inputs are those from which they were computed. Does not synchronise
    /// with a device: elsewhere than on the CPU the features of other inputs become NaN.
    fn select(&self, rows: &[i64], prints: &Tensor, modality: &Modality) -> Result<Tensor> {
        let Some([features, own]) = &self.tensors else { return Ok(Tensor::new()) };
        let rows = transfer::send(&Tensor::from_slice(rows), features.device())?;
        let select = || {
            let (features, own) =
                (features.f_index_select(0, &rows)?, own.f_index_select(0, &rows)?);
            if own.device() == Device::Cpu {
                return Ok((own.f_equal(prints)?, features));
            }
            let mut size = vec![1; features.dim()];
            size[0] = features.size()[0];
            let nan = features.f_full_like(f64::NAN)?;
            Ok((
                true,
                features.f_where_self(&own.f_eq_tensor(prints)?.f_view(size.as_slice())?, &nan)?,
            ))
        };
        let (same, features) = select()
            .map_err(|e: TchError| Error::torch(format!("look up the {}", what(modality)), e))?;
        if same {
            return Ok(features);
        }
        Err(error::cache(
            what(modality),
            "the input of a sample to be the same in every epoch",
            "another input for the same id",
            "leave out random augmentation of this modality, or choose another suppressed mode",
        ))
    }

    /// Adds the samples that are new.
    fn add(
        &mut self,
        ids: &[i64],
        features: &Tensor,
        prints: &Tensor,
    ) -> std::result::Result<(), TchError> {
        let (mut new, first) = (Vec::new(), self.rows.len() as i64);
        for (row, &id) in (0_i64..).zip(ids) {
            let next = self.rows.len() as i64;
            self.rows.entry(id).or_insert_with(|| {
                new.push(row);
                next
            });
        }
        let (count, end) = (new.len() as i64, self.rows.len() as i64);
        let new = Tensor::from_slice(&new).f_to_device(features.device())?;
        let mut grown = Vec::with_capacity(2);
        for (i, tensor) in [features, prints].into_iter().enumerate() {
            let all = match &self.tensors {
                Some(tensors) if tensors[i].size()[0] >= end => tensors[i].shallow_clone(),
                old => {
                    let mut size = tensor.size();
                    size[0] = 2 * end;
                    let all = tensor.f_new_zeros(&size, (tensor.kind(), tensor.device()))?;
                    if let Some(old) = old {
                        all.f_narrow(0, 0, first)?.f_copy_(&old[i].f_narrow(0, 0, first)?)?;
                    }
                    all
                }
            };
            all.f_narrow(0, first, count)?.f_copy_(&tensor.f_index_select(0, &new)?)?;
            grown.push(all);
        }
        self.tensors = <[Tensor; 2]>::try_from(grown).ok();
        Ok(())
    }
}

fn what(modality: &Modality) -> String {
    format!("cached features of modality {modality:?}")
}

/// A number for the input of each sample, \[B\] in `Int64`: a weighted sum of the bits of some elements, so
/// that it is exact in any order.
fn fingerprints(input: &Input) -> std::result::Result<Tensor, TchError> {
    let mut sum: Option<Tensor> = None;
    for (i, (_, tensor)) in (0_i64..).zip(input.tensors()) {
        let rows = tensor.size()[0];
        let flat = tensor.f_detach()?.f_reshape([rows, -1])?;
        let step = (flat.size()[1] / SAMPLED).max(1);
        let some = flat.f_slice(1, None, None, step)?.f_contiguous()?;
        let bits = match some.is_floating_point() {
            true => some.f_to_kind(Kind::Float)?.f_view_dtype(Kind::Int)?,
            false => some,
        };
        let bits = bits.f_to_kind(Kind::Int64)?;
        let weights = Tensor::f_arange(bits.size()[1], (Kind::Int64, bits.device()))?;
        let weights = weights.f_add_scalar(7 * i + 1)?.f_remainder(8191)?.f_add_scalar(1)?;
        let own =
            bits.f_mul(&weights)?.f_sum_dim_intlist([1_i64].as_slice(), false, Kind::Int64)?;
        sum = Some(match sum {
            None => own,
            Some(sum) => sum.f_add(&own)?,
        });
    }
    sum.ok_or_else(|| TchError::Kind("an input without tensors".into()))
}
