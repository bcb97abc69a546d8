//! Numbers that the authors' code reports and the trainer does not, computed by wrappers.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    G2dLoss, Modality, Result,
    loss::{self, Classification},
    modulation::Modulate,
    step::Observation,
};
use tch::Tensor;

/// Stores the unimodal logits of each step, then applies the case's modulation.
pub struct StoreUnimodalLogits {
    pub inner: Option<Box<dyn Modulate>>,
    pub unimodal_logits: Rc<RefCell<Vec<Tensor>>>,
}

impl Modulate for StoreUnimodalLogits {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        self.inner.as_mut().map_or(Ok(()), |inner| inner.bind(modalities))
    }

    fn needs_unimodal_logits(&self) -> bool {
        true
    }

    fn modulate(&mut self, step: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        let logits = (0..step.modalities().len()).map(|m| step.unimodal_logits(m));
        *self.unimodal_logits.borrow_mut() =
            logits.flat_map(Result::transpose).collect::<Result<_>>()?;
        self.inner.as_mut().map_or(Ok(None), |inner| inner.modulate(step))
    }
}

/// A loss that reports terms of weight 0 too.
pub struct ReportAllTerms {
    pub weighted: Classification,
    pub plain: Classification,
}

impl G2dLoss for ReportAllTerms {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.weighted.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        self.weighted.check_targets(logits, targets)
    }

    fn terms(&self, input: &loss::Input<'_>) -> Result<loss::Terms> {
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
