//! InfoReg.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn::VarStore};

use super::{encoder_memory::EncoderMemory, settings};
use crate::algorithm::{Algorithm, Computed, Session};
use crate::batch::Batch;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::optim::ApplyGradients;
use crate::parameters::ModalityParams;
use crate::schedule::Progress;
use crate::step::{EpochReport, StepReport};
use crate::student::Student;
use crate::trainer::ResumeState;

/// Settings of [`InfoReg`]; the defaults are the authors'.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InfoRegConfig {
    /// The factors of β, in the student's order, by default 0.95 (audio) and 0.1 (visual).
    pub beta: [f64; 2],
    /// The least K with regularisation, by default 0.05.
    pub threshold: f64,
    /// The index of the modality whose trace gives K, by default 0 (audio).
    pub traced: usize,
}

impl Default for InfoRegConfig {
    fn default() -> Self {
        Self { beta: [0.95, 0.1], threshold: 0.05, traced: 0 }
    }
}

/// Number of epochs in a mean of traces.
const TRACES: usize = 10;

/// InfoReg: slows the stronger of two encoders while they acquire information.
///
/// ```text
/// loss = CE(z) + Σ_m CE(z_m)             s_m = Σ_i σ(z_m)[y_i] over the batch
/// of the encoder m with the larger s:    gradient += β (θ − θ at the start of the epoch),
///                                        β = beta_m exp(tanh(s_m − s_o)), while K > threshold
/// T_e = Σ over convolutions of mean(Σ over steps of gradient²), of the traced encoder in epoch e
/// K = (L − L')/L, L = Σ of the last ten T / 10, L' = Σ of the ten before the last / 10
/// ```
///
/// K is 1 in the first two epochs. T includes the regulariser. An encoder without four-dimensional
/// parameters is traced by those of two dimensions or more.
///
/// Exactly two modalities; the student needs unimodal logits, the authors' are the slices of a concatenation.
/// One forward and one backward pass. The state is T, and two copies of the encoders in
/// [`store`](Algorithm::store). The authors train with lr 2e-3, batches of 64, 50 epochs.
///
/// s is a sum, so that the gap saturates at larger batches, as in the authors' code.
///
/// Details of each modality: `score` s, `beta`; `information` K.
///
/// Source: "Adaptive Unimodal Regulation for Balanced Multimodal Information Acquisition", CVPR 2025;
/// GeWu-Lab/InfoReg_CVPR2025 939b2ed.
#[derive(Debug)]
pub struct InfoReg {
    config: InfoRegConfig,
    session: Session,
    memory: EncoderMemory,
    /// T of each modality in every finished epoch.
    traces: Vec<[f64; 2]>,
}

impl InfoReg {
    /// InfoReg of `student`, whose parameters are `params`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a setting out of range, another number of modalities
    /// than 2, and as [`Session::new`].
    pub fn new(
        student: &dyn Student,
        params: ModalityParams,
        config: InfoRegConfig,
    ) -> Result<Self> {
        config.beta.iter().try_for_each(|&b| settings::not_negative("beta of InfoReg", b))?;
        if !config.threshold.is_finite() {
            let found = config.threshold;
            return Err(error::out_of_range("threshold of InfoReg", "a finite number", found));
        }
        if config.traced > 1 {
            return Err(error::out_of_range("traced of InfoReg", "0 or 1", config.traced));
        }
        let session = Session::new("info_reg", student, params)?;
        session.expect_modalities(2)?;
        let memory = EncoderMemory::new(&session)?;
        Ok(Self { config, session, memory, traces: Vec::new() })
    }

    /// T of each modality in every finished epoch.
    pub fn traces(&self) -> &[[f64; 2]] {
        &self.traces
    }

    /// K of the current epoch.
    pub fn information(&self) -> f64 {
        information(self.traces.iter().map(|trace| trace[self.config.traced]))
    }
}

/// K after epochs with these traces.
fn information(traces: impl DoubleEndedIterator<Item = f64>) -> f64 {
    let newest: Vec<f64> = traces.rev().take(TRACES + 1).collect();
    if newest.len() < 2 {
        return 1.0;
    }
    let mean = |traces: &[f64]| traces.iter().take(TRACES).sum::<f64>() / TRACES as f64;
    let (last, before) = (mean(&newest), mean(&newest[1..]));
    (last - before) / last
}

impl Algorithm for InfoReg {
    fn modalities(&self) -> &[Modality] {
        self.session.modalities()
    }

    fn progress(&self) -> Progress {
        self.session.progress()
    }

    fn device(&self) -> tch::Device {
        self.session.device()
    }

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let information = self.information();
        let Self { config, session, memory, .. } = self;
        if session.progress().step == 0 {
            memory.begin(session.parameters())?;
        }
        session.step(student, batch, |pass| {
            let features = pass.encode_all(true)?;
            let logits = pass.fuse(&features, true)?;
            let task = pass.cross_entropy(&logits)?;
            let own = pass.all_unimodal_logits(&features)?;
            let losses = own.iter().map(|z| pass.cross_entropy(z)).collect::<Result<Vec<_>>>()?;
            let total = &task + losses.iter().sum::<Tensor>();
            let score = |z: &Tensor| -> Result<Tensor> {
                Ok(pass.true_class_probability(&z.detach())?.f_sum(z.kind())?)
            };
            let scores = own.iter().map(score).collect::<Result<Vec<_>>>()?;
            let scores = pass.read("scores of the modalities", &scores)?;
            let stronger = if scores[0] > scores[1] { 0 } else { 1 };
            let mut betas = [0.0; 2];
            if information > config.threshold {
                let gap = (scores[0] - scores[1]).abs();
                betas[stronger] = config.beta[stronger] * gap.tanh().exp();
            }
            let mut gradients = pass.gradients(&total, false)?;
            if betas[stronger] > 0.0 {
                gradients.replace(|parameter, gradient| {
                    if parameter.modality != Some(stronger) {
                        return Ok(None);
                    }
                    let moved = memory.moved(parameter)?;
                    Ok(Some(gradient.f_add(&moved.f_mul_scalar(betas[stronger])?)?))
                })?;
            }
            pass.update(&gradients, optimizer)?;
            memory.add_squares(&gradients)?;
            let names = pass.modalities();
            Ok(Computed::new(&total, &task, &logits)
                .heads(&losses)
                .numbers("score", names, &scores)
                .numbers("beta", names, &betas)
                .detail("information", &Tensor::from(information)))
        })
    }

    fn end_epoch(&mut self) -> Result<EpochReport> {
        let report = self.session.end_epoch()?;
        self.traces.push(self.memory.traces()?);
        Ok(report)
    }

    fn state(&mut self) -> Result<ResumeState> {
        self.session.state(&self.traces)
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        let finished = state.progress().epoch as usize;
        self.traces = self.session.restore(state, |traces: &Vec<[f64; 2]>| {
            if traces.len() == finished {
                return Ok(());
            }
            Err(error::foreign_state("traces of InfoReg", finished, traces.len()))
        })?;
        Ok(())
    }

    fn store(&self) -> Option<&VarStore> {
        Some(self.memory.store())
    }
}

#[cfg(test)]
mod tests {
    use super::information;

    #[test]
    fn information_compares_the_last_ten_traces_with_the_ten_before_the_last() {
        assert_eq!(information([].into_iter()), 1.0);
        assert_eq!(information([0.5].into_iter()), 1.0);
        // L = 0.3, L' = 0.2.
        let found = information([2.0, 1.0].into_iter());
        assert!((found - 1.0 / 3.0).abs() < 1e-15);
        // Eleven traces: L is of the last ten, L' of the first ten.
        let traces: Vec<f64> = (1..=11).map(f64::from).collect();
        let found = information(traces.into_iter());
        assert!((found - (65.0 - 55.0) / 65.0).abs() < 1e-15);
    }
}
