//! What the authors' code reports and the trainer, by design, does not: looked at from outside.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use g2d::{
    Candidates, Classification, G2dLoss, GradientModulation, LossInput, LossTerms, Modality, Plan,
    Progress, Result, SeenGradients, SmpScheduler,
};
use tch::Tensor;

/// The epoch that a case's step says it is in; cases may leave epochs out.
pub type Clock = Rc<Cell<u64>>;

/// A schedule that takes the epoch from the case.
pub struct Clocked {
    pub inner: Box<dyn SmpScheduler>,
    pub clock: Clock,
}

impl Clocked {
    fn at(&self, at: Progress) -> Progress {
        Progress { epoch: self.clock.get(), ..at }
    }
}

impl SmpScheduler for Clocked {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        self.inner.bind(modalities)
    }

    fn needs_confidence(&self) -> bool {
        self.inner.needs_confidence()
    }

    fn reads_confidence(&self, at: Progress) -> bool {
        self.inner.reads_confidence(self.at(at))
    }

    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan> {
        self.inner.plan(self.at(at), candidates)
    }
}

/// Keeps each step's unimodal logits, then lets the case's modulation work.
pub struct Watched {
    pub inner: Option<Box<dyn GradientModulation>>,
    pub clock: Clock,
    pub unimodal_logits: Rc<RefCell<Vec<Tensor>>>,
}

impl GradientModulation for Watched {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.bind(modalities))
    }

    fn needs_unimodal_logits(&self) -> bool {
        true
    }

    fn modulate(&mut self, seen: &SeenGradients<'_>) -> Result<Option<Vec<f64>>> {
        let each = (0..seen.modalities.len()).map(|m| seen.unimodal_logits(m));
        *self.unimodal_logits.borrow_mut() = each.collect::<Result<_>>()?;
        let mut seen = *seen;
        seen.at.epoch = self.clock.get();
        self.inner.as_mut().map_or(Ok(None), |inner| inner.modulate(&seen))
    }
}

/// A loss whose report holds the terms of weight 0 too.
pub struct Reporting {
    pub weighted: Classification,
    pub plain: Classification,
}

impl G2dLoss for Reporting {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.weighted.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        self.weighted.check_targets(logits, targets)
    }

    fn terms(&self, input: &LossInput<'_>) -> Result<LossTerms> {
        let mut terms = self.weighted.terms(input)?;
        let plain = self.plain.terms(input)?;
        let fill = |own: &mut Vec<Option<Tensor>>, plain: Vec<Option<Tensor>>| {
            own.iter_mut().zip(plain).for_each(|(own, plain)| *own = own.take().or(plain));
        };
        fill(&mut terms.feature, plain.feature);
        fill(&mut terms.logit, plain.logit);
        Ok(terms)
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.weighted.confidence(logits, targets)
    }
}
