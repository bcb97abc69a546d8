//! The heads of ReconBoost.

use std::borrow::Borrow;

use tch::{
    Tensor,
    nn::{self, Module},
};

use super::shared_head::SharedHead;
use crate::algorithm::{Parameter, Session};
use crate::error::{self, Result};
use crate::modality::Modality;

/// The heads of [`ReconBoost`](super::ReconBoost): one that all modalities share, b, and a linear one per modality for the time
/// before its first turn.
#[derive(Debug)]
pub struct BoostHead {
    shared: SharedHead,
    /// b, \[1\].
    rate: Tensor,
    /// Empty without pretrained unimodal networks.
    initial: Vec<nn::Linear>,
}

impl BoostHead {
    /// Registers `head.fc1` [hidden, width], `head.fc2` [outputs, hidden] and `boost_rate`, which is 1, at
    /// `path`. The authors have 512 features and 256 hidden units.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a size below 1.
    pub fn new<'a>(
        path: impl Borrow<nn::Path<'a>>,
        width: i64,
        hidden: i64,
        outputs: i64,
    ) -> Result<Self> {
        let path = path.borrow();
        let shared = SharedHead::with_hidden(path / "head", width, hidden, outputs)?;
        Ok(Self { shared, rate: path.ones("boost_rate", &[1]), initial: Vec::new() })
    }

    /// Registers a linear layer `fc_{modality}` at `path` for each modality, into which the caller loads
    /// that of a pretrained unimodal network, whose encoder the student starts from. It is not trained, and
    /// gives the modality's logits before its first turn.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a size below 1.
    pub fn with_initial<'a>(
        mut self,
        path: impl Borrow<nn::Path<'a>>,
        modalities: &[Modality],
        width: i64,
        outputs: i64,
    ) -> Result<Self> {
        if width < 1 || outputs < 1 {
            let found = format!("{width} and {outputs}");
            return Err(error::out_of_range("sizes of the initial heads", "at least 1", found));
        }
        let head = |m: &Modality| {
            let path = path.borrow() / format!("fc_{m}");
            nn::linear(path, width, outputs, nn::LinearConfig::default())
        };
        self.initial = modalities.iter().map(head).collect();
        Ok(self)
    }

    /// b.
    pub(super) fn rate(&self) -> &Tensor {
        &self.rate
    }

    /// The number of initial heads.
    pub(super) fn initial_heads(&self) -> usize {
        self.initial.len()
    }

    /// Refuses a session whose model does not have the parameters of the shared head.
    pub(super) fn check_known(&self, session: &Session) -> Result<()> {
        self.shared.check_known(session)
    }

    /// z_m for features [B, d]: of the shared head, or of the initial one before the first of the `begun`
    /// stages of modality `m`.
    pub(super) fn logits(&self, begun: u64, m: usize, features: &Tensor) -> Result<Tensor> {
        match self.initial.get(m) {
            Some(initial) if (m as u64) >= begun => Ok(initial.forward(features)),
            _ => self.shared.forward(features),
        }
    }

    /// Whether a parameter is one of an initial head.
    pub(super) fn is_initial(&self, parameter: &Parameter) -> bool {
        let own = |tensor: &Tensor| tensor.data_ptr() == parameter.tensor.data_ptr();
        self.initial.iter().any(|head| own(&head.ws) || head.bs.as_ref().is_some_and(own))
    }
}
