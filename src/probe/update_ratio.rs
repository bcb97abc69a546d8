//! Relative size of each encoder's updates.

use tch::Tensor;

use super::{
    ImbalanceProbe,
    interval::Interval,
    means::Means,
    vectors::{self, TchResult},
};
use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::state::State;
use crate::step::{Measurement, Observation};

/// `update_ratio`: ‖Δθ^m‖ / ‖θ^m‖ of an update of encoder m, the mean over the observed steps.
///
/// The update includes momentum and weight decay, unlike the gradient. About 10⁻³ is usual in healthy
/// training; parameters that are all 0 give 0. Steps whose whole batch lacks the modality are omitted.
///
/// The probe copies the encoders' parameters in an observed step and compares them with the live ones
/// in the next step, or when the epoch ends or its state is saved. So step the optimizer before
/// [`end_epoch`](crate::G2dTrainer::end_epoch).
///
/// Cost: memory for a copy of the encoders' parameters, and two passes over them per observed step.
#[derive(Debug)]
pub struct UpdateRatio {
    interval: Interval,
    ratio: Means,
    pending: Option<BeforeUpdate>,
}

impl UpdateRatio {
    /// Observes the first of every `interval` optimizer steps; 0 is treated as 1.
    pub fn with_interval(interval: u64) -> Self {
        let (interval, ratio) = (Interval::new(interval), Means::new("update_ratio"));
        Self { interval, ratio, pending: None }
    }

    /// Adds the pending update.
    fn compare(&mut self) -> Result<()> {
        self.pending.take().map_or(Ok(()), |before| before.compare(&mut self.ratio))
    }
}

impl ImbalanceProbe for UpdateRatio {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        self.compare()?;
        if self.interval.includes(step) {
            self.pending = Some(BeforeUpdate::copy(step)?);
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.compare()?;
        self.ratio.take()
    }

    fn combine(
        &mut self,
        modalities: &[Modality],
        sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        self.compare()?;
        self.ratio.combine(modalities, sum)
    }

    fn state(&self) -> Result<State> {
        let Some(before) = &self.pending else { return Means::save(&[&self.ratio]) };
        let mut compared = Means::new("update_ratio");
        Means::restore(&Means::save(&[&self.ratio])?, &mut [&mut compared])?;
        before.compare(&mut compared)?;
        Means::save(&[&compared])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.ratio])?;
        self.pending = None;
        Ok(())
    }
}

/// The encoders' parameters before an update.
#[derive(Debug)]
struct BeforeUpdate {
    modalities: Vec<Modality>,
    /// The weight of the update in the mean of this rank.
    weight: f64,
    /// Index of each observed encoder, and pairs of a copy and the live parameter.
    encoders: Vec<(usize, Vec<(Tensor, Tensor)>)>,
}

impl BeforeUpdate {
    fn copy(step: &Observation<'_>) -> Result<Self> {
        let pair = |live: &Tensor| {
            let mut copy = live.f_empty_like()?;
            copy.f_copy_(live)?;
            Ok((copy, live.shallow_clone()))
        };
        let observed = (0..step.modalities().len()).filter(|&m| !step.combined.is_missing(m));
        let encoders = observed.map(|m| {
            let pairs = step.params.encoder(m).iter().map(|(_, live)| pair(live));
            Ok((m, pairs.collect::<TchResult<_>>()?))
        });
        let encoders = encoders.collect::<TchResult<_>>();
        let failed = |source| Error::torch("copy the parameters of an encoder", source);
        Ok(Self {
            modalities: step.modalities().to_vec(),
            weight: step.weight_of_rank(),
            encoders: encoders.map_err(failed)?,
        })
    }

    /// Adds ‖Δθ^m‖ / ‖θ^m‖ of every observed encoder to `ratios`.
    fn compare(&self, ratios: &mut Means) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (m, pairs) in &self.encoders {
            let ratio = relative_change(pairs)
                .map_err(|source| Error::torch("compare the parameters of an encoder", source))?;
            if let Some(ratio) = ratio {
                ratios.modality(&self.modalities, *m).add(&ratio, self.weight)?;
            }
        }
        Ok(())
    }
}

/// ‖live − old‖ / ‖old‖ over pairs of an old and a live tensor; `None` without pairs.
fn relative_change(pairs: &[(Tensor, Tensor)]) -> TchResult<Option<Tensor>> {
    let change = pairs.iter().map(|(old, live)| live.f_to_device(old.device())?.f_sub(old));
    let change = vectors::norm(change.collect::<TchResult<Vec<_>>>()?.into_iter())?;
    let length = vectors::norm(pairs.iter().map(|(old, _)| old.shallow_clone()))?;
    let Some((change, length)) = change.zip(length) else { return Ok(None) };
    vectors::quotient(&change, &length).map(Some)
}
