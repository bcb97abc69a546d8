//! What a trainer optimises, and how it ranks teachers.

use tch::{Kind, Tensor};

use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::loss::{self, Confidence, G2dLoss, Labels, TermWeights, Terms};
use crate::modality::Modality;

/// The loss over named modalities, and the confidence ρ that ranks their teachers.
pub(crate) struct Objective {
    modalities: Vec<Modality>,
    loss: Box<dyn G2dLoss>,
    confidence: Option<Box<dyn Confidence>>,
}

impl Objective {
    /// Checks the loss against the modalities. Without `confidence`, ρ is the loss's own.
    pub(crate) fn new(
        modalities: Vec<Modality>,
        loss: Box<dyn G2dLoss>,
        confidence: Option<Box<dyn Confidence>>,
    ) -> Result<Self> {
        loss.check(&modalities)?;
        Ok(Self { modalities, loss, confidence })
    }

    /// The task term of `loss` for a model of one modality. What the loss has for each modality of a
    /// student is not used, and not checked.
    pub(crate) fn of_one(modality: Modality, loss: Box<dyn G2dLoss>) -> Self {
        Self { modalities: vec![modality], loss, confidence: None }
    }

    /// The modalities, in the student's order.
    pub(crate) fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// Checks targets against logits of shape [B, C].
    pub(crate) fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        self.loss.check_targets(logits, targets)
    }

    /// The form of the targets of a classification.
    pub(crate) fn labels(&self) -> Option<Labels> {
        self.loss.labels()
    }

    /// The label of samples that a classification ignores.
    pub(crate) fn ignore_index(&self) -> Option<i64> {
        self.loss.ignore_index()
    }

    /// Returns whether the loss needs the student's unimodal logits.
    pub(crate) fn needs_unimodal_logits(&self) -> bool {
        self.loss.needs_unimodal_logits()
    }

    /// The weights of the terms in the total, if the loss tells them.
    pub(crate) fn term_weights(&self) -> Option<TermWeights> {
        self.loss.term_weights(self.modalities.len())
    }

    /// The sum by which L_S of a batch is divided; `None` for its number of samples.
    pub(crate) fn task_weight(&self, batch: &Batch) -> Result<Option<Tensor>> {
        self.loss.task_weight(batch.targets(), batch.extras())
    }

    /// The number of samples over which the loss's own ρ of a batch is a mean, where that is not all of them.
    pub(crate) fn confidence_weight(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let ignored = self.loss.ignore_index().filter(|_| self.confidence.is_none());
        let count = |ignored: i64| batch.targets().f_ne(ignored)?.f_sum(Kind::Double);
        ignored.map(|ignored| count(ignored).map_err(Error::from)).transpose()
    }

    /// The terms of the loss, checked: scalars, one per modality.
    pub(crate) fn terms(&self, input: &loss::Input<'_>) -> Result<Terms> {
        let terms = self.loss.terms(input)?;
        self.check_terms(&terms)?;
        Ok(terms)
    }

    /// ρ of logits [B, C] and their targets: a scalar.
    pub(crate) fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match &self.confidence {
            None => self.loss.confidence(logits, targets),
            Some(confidence) => confidence.rho(logits, targets),
        }
    }

    fn check_terms(&self, terms: &Terms) -> Result<()> {
        if let Some(term) = terms.iter().find(|term| !term.defined() || term.dim() > 0) {
            let hint = "reduce each term to one number in `G2dLoss::terms`";
            return Err(error::wrong_shape("terms of the loss", "scalars, []", &term.size(), hint));
        }
        let mut lengths = terms.of_modalities().into_iter().map(Vec::len);
        let hint = "return None for a modality without a term";
        match lengths.find(|&length| length != 0 && length != self.modalities.len()) {
            None => Ok(()),
            Some(found) => {
                Err(error::one_per_modality("terms of the loss", &self.modalities, found, hint))
            }
        }
    }
}
