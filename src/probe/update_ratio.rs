//! How far the optimizer really moves each encoder.

use tch::Tensor;

use super::{ImbalanceProbe, is_due, means::Means, vectors};
use crate::mean::Mean;
use crate::{
    error::{Error, Result},
    modality::Modality,
    state::State,
    step::{Measurement, Observation},
};

/// ‖Δθ^m‖ / ‖θ^m‖ of one update of encoder m, averaged over the steps observed (`update_ratio`): what
/// the optimizer did, momentum and weight decay included, and not what the gradient alone suggests.
///
/// It copies the encoders' parameters in the first of every `every` steps of the optimizer, when the
/// gradients are ready, and compares when they are ready next, at the epoch's end or when its state is
/// asked for, whichever comes first: step the optimizer before
/// [`end_epoch`](crate::trainer::G2dTrainer::end_epoch). A step whose whole batch lacks m does not count;
/// weights that are all 0 give 0.
///
/// Costs a copy of the encoders' parameters in memory, and a pass over them twice in every `every`-th
/// step; no wait. About 10⁻³ is usual in healthy training.
#[derive(Debug)]
pub struct UpdateRatio {
    every: u64,
    ratio: Means,
    pending: Option<Before>,
}

/// Encoders as they were before an update, beside the live ones.
#[derive(Debug)]
struct Before {
    modalities: Vec<Modality>,
    /// Of every encoder that counts: its index, and pairs of a copy and the parameter itself.
    encoders: Vec<(usize, Vec<(Tensor, Tensor)>)>,
}

impl UpdateRatio {
    /// Observes the update of the first of every `every` steps of the optimizer; 0 is taken as 1.
    pub fn every(every: u64) -> Self {
        Self { every: every.max(1), ratio: Means::new("update_ratio"), pending: None }
    }

    fn settle(&mut self) -> Result<()> {
        let Some(before) = self.pending.take() else { return Ok(()) };
        before.ratios()?.iter().try_for_each(|(m, ratio)| {
            let mean: &mut Mean = self.ratio.of(&before.modalities, *m);
            mean.add(ratio, 1.0)
        })
    }
}

impl ImbalanceProbe for UpdateRatio {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        self.settle()?;
        if is_due(step, self.every) {
            self.pending = Some(Before::copy(step)?);
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.settle()?;
        self.ratio.take()
    }

    fn state(&self) -> Result<State> {
        let mut settled = Means::new("update_ratio");
        Means::restore(&Means::save(&[&self.ratio])?, &mut [&mut settled])?;
        if let Some(before) = &self.pending {
            for (m, ratio) in before.ratios()? {
                settled.of(&before.modalities, m).add(&ratio, 1.0)?;
            }
        }
        Means::save(&[&settled])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.ratio])?;
        self.pending = None;
        Ok(())
    }
}

impl Before {
    fn copy(step: &Observation<'_>) -> Result<Self> {
        let pair = |live: &Tensor| -> std::result::Result<_, tch::TchError> {
            let mut copy = live.f_empty_like()?;
            copy.f_copy_(live)?;
            Ok((copy, live.shallow_clone()))
        };
        let counts = |&m: &usize| !step.rows[m].is_missing();
        let encoders = (0..step.modalities().len()).filter(counts).map(|m| {
            let own = step.params.encoder(m).iter().map(|(_, live)| pair(live));
            Ok((m, own.collect::<std::result::Result<_, _>>()?))
        });
        let encoders = encoders.collect::<std::result::Result<_, tch::TchError>>();
        Ok(Self {
            modalities: step.modalities().to_vec(),
            encoders: encoders.map_err(|e| Error::torch("copy an encoder's parameters", e))?,
        })
    }

    /// ‖Δθ^m‖ / ‖θ^m‖ of every encoder that counts, on the device.
    fn ratios(&self) -> Result<Vec<(usize, Tensor)>> {
        let _no_grad = tch::no_grad_guard();
        let ratio = |own: &[(Tensor, Tensor)]| {
            let moved = own.iter().map(|(old, live)| live.f_to_device(old.device())?.f_sub(old));
            let moved = moved.collect::<std::result::Result<Vec<_>, _>>()?;
            let length = vectors::norm(own.iter().map(|(old, _)| old.shallow_clone()))?;
            match (vectors::norm(moved.into_iter())?, length) {
                (Some(moved), Some(length)) => vectors::quotient(&moved, &length).map(Some),
                _ => Ok(None),
            }
        };
        let mut found = Vec::with_capacity(self.encoders.len());
        for (m, own) in &self.encoders {
            let ratio = ratio(own).map_err(|e| Error::torch("compare an encoder's weights", e))?;
            found.extend(ratio.map(|ratio| (*m, ratio)));
        }
        Ok(found)
    }
}
