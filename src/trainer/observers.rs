//! What watches the steps of an epoch: probes and means.

use super::totals::{EpochTotals, EpochTotalsState};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::probe::ImbalanceProbe;
use crate::ranks::Ranks;
use crate::schedule::Progress;
use crate::state::State;
use crate::step::{EpochReport, Observation, StepReport};

/// The probes and the means of the current epoch.
pub(super) struct Observers {
    probes: Vec<Box<dyn ImbalanceProbe>>,
    totals: EpochTotals,
}

impl Observers {
    pub(super) fn new(probes: Vec<Box<dyn ImbalanceProbe>>, modalities: usize) -> Self {
        Self { probes, totals: EpochTotals::new(modalities) }
    }

    /// Shows the probes the last micro-batch of a window while its graph exists.
    pub(super) fn before_backward(&mut self, step: &Observation<'_>) -> Result<()> {
        if !step.micro_batch.is_last() {
            return Ok(());
        }
        self.probes.iter_mut().try_for_each(|probe| probe.observe_terms(step))
    }

    /// Shows the probes a step whose gradients are complete, and adds a step that was not skipped to
    /// the means.
    pub(super) fn after_step(&mut self, step: &Observation<'_>, report: &StepReport) -> Result<()> {
        if report.outcome.is_ready() {
            let _no_grad = tch::no_grad_guard();
            self.probes.iter_mut().try_for_each(|probe| probe.observe(step))?;
        }
        if report.outcome.skipped().is_none() {
            self.totals.add(report)?;
        }
        Ok(())
    }

    /// The means of the epoch that ends at `at`, over all ranks, in one transfer; without measurements.
    pub(super) fn means(
        &self,
        at: Progress,
        modalities: &[Modality],
        ranks: &Ranks,
    ) -> Result<EpochReport> {
        match ranks.group() {
            None => self.totals.read(at, modalities),
            Some(_) => self.totals.combined(ranks)?.read(at, modalities),
        }
    }

    /// Adds the probes' measurements over all ranks to `report` and begins the next epoch.
    pub(super) fn end_epoch(&mut self, report: &mut EpochReport, ranks: &Ranks) -> Result<()> {
        for probe in &mut self.probes {
            if ranks.group().is_some() {
                probe.combine(&report.modalities, &|values| ranks.sum(values))?;
            }
            report.measurements.extend(probe.end_epoch()?);
        }
        self.totals = EpochTotals::new(report.modalities.len());
        Ok(())
    }

    /// The state of the means and of every probe, over all ranks.
    pub(super) fn combined_state(
        &mut self,
        modalities: &[Modality],
        ranks: &Ranks,
    ) -> Result<(EpochTotalsState, Vec<State>)> {
        if ranks.group().is_none() {
            return self.state();
        }
        let combined = |probe: &mut Box<dyn ImbalanceProbe>| {
            let own = probe.state()?;
            probe.combine(modalities, &|values| ranks.sum(values))?;
            let state = probe.state()?;
            probe.restore(&own).map(|()| state)
        };
        let probes = self.probes.iter_mut().map(combined).collect::<Result<_>>()?;
        Ok((self.totals.combined(ranks)?.state()?, probes))
    }

    /// The state of the means and of every probe.
    pub(super) fn state(&self) -> Result<(EpochTotalsState, Vec<State>)> {
        let probes = self.probes.iter().map(|probe| probe.state()).collect::<Result<_>>()?;
        Ok((self.totals.state()?, probes))
    }

    /// Refuses the state of other probes or of another number of modalities.
    pub(super) fn check(&self, totals: &EpochTotalsState, probes: &[State]) -> Result<()> {
        if probes.len() != self.probes.len() {
            let what = "probes of the restored trainer";
            return Err(error::foreign_state(what, self.probes.len(), probes.len()));
        }
        let k = self.totals.modalities();
        if totals.has_modalities(k) {
            return Ok(());
        }
        let here = format!("{k} modalities");
        Err(error::foreign_state("epoch means of the restored trainer", here, "another number"))
    }

    /// Restores a checked state. Its sums count once, on the first rank; the others begin with none.
    pub(super) fn restore(
        &mut self,
        totals: &EpochTotalsState,
        probes: &[State],
        is_first: bool,
    ) -> Result<()> {
        self.probes.iter_mut().zip(probes).try_for_each(|(probe, state)| probe.restore(state))?;
        self.totals = totals.clone().into();
        if !is_first {
            self.totals.forget_sums();
            self.probes.iter_mut().try_for_each(|probe| probe.end_epoch().map(drop))?;
        }
        Ok(())
    }
}
