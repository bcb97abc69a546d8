//! A G²D trainer as an algorithm.

use tch::{Device, Tensor};

use super::Algorithm;
use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;
use crate::optim::ApplyGradients;
use crate::schedule::Progress;
use crate::step::{EpochReport, StepReport};
use crate::student::Student;
use crate::trainer::{G2dTrainer, Precision, ResumeState};

/// [`step`](Algorithm::step) is [`G2dTrainer::step`] with [`G2dTrainer::update`].
impl Algorithm for G2dTrainer {
    fn modalities(&self) -> &[Modality] {
        Self::modalities(self)
    }

    fn progress(&self) -> Progress {
        Self::progress(self)
    }

    fn device(&self) -> Device {
        Self::device(self)
    }

    fn rank(&self) -> usize {
        Self::rank(self)
    }

    fn agree(&mut self, outcome: Result<f64>) -> Result<f64> {
        self.agree_on_snapshot(outcome)
    }

    fn gather(&mut self, own: &Tensor) -> Result<Vec<Tensor>> {
        self.gather_for_snapshot(own)
    }

    fn step(
        &mut self,
        student: &dyn Student,
        batch: &Batch,
        mut optimizer: &mut dyn ApplyGradients,
    ) -> Result<StepReport> {
        let report = Self::step(self, student, batch)?;
        self.update(&mut optimizer)?;
        Ok(report)
    }

    fn finish_update(&mut self, mut optimizer: &mut dyn ApplyGradients) -> Result<()> {
        Self::finish_update(self, &mut optimizer).map(drop)
    }

    fn end_epoch(&mut self) -> Result<EpochReport> {
        Self::end_epoch(self)
    }

    fn precision(&self) -> Precision {
        Self::precision(self)
    }

    fn state(&mut self) -> Result<ResumeState> {
        Self::state(self)
    }

    fn restore(&mut self, state: &ResumeState) -> Result<()> {
        Self::restore(self, state)
    }
}
