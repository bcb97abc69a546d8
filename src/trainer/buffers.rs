//! The buffers of a model in training: a step must leave them finite.

use tch::{TchError, Tensor};

use super::sources::{self, Named};
use crate::error::{Error, Result};
use crate::libtorch;
use crate::parameters::{ModalityParams, Variables};
use crate::step::NonFiniteSource as Source;
use crate::transfer;

/// The buffers that every step checks, with their names. A buffer that held an infinity when the trainer
/// was built, such as an attention mask, is not checked.
#[derive(Debug, Default)]
pub(crate) struct WatchedBuffers(Named);

impl WatchedBuffers {
    /// The buffers of a model whose encoders are known. Synchronises with the device.
    pub(crate) fn from_params(params: &ModalityParams) -> Result<Self> {
        let source = |name: &str| Source::Buffer {
            name: name.to_owned(),
            modality: params.owner(name).cloned(),
        };
        Self::new(params.variables(), source)
    }

    /// The buffers of a model; `source` names one by its name. Synchronises with the device.
    pub(super) fn new(variables: &Variables, source: impl Fn(&str) -> Source) -> Result<Self> {
        let buffers = || variables.buffers().filter(|(_, tensor)| tensor.is_floating_point());
        let infinite = buffers().map(|(_, tensor)| tensor.f_isinf()?.f_any());
        let infinite = infinite.collect::<std::result::Result<Vec<_>, TchError>>();
        let infinite = infinite.map_err(|e| Error::torch("look for infinite buffers", e))?;
        let infinite = transfer::read_scalars(&infinite)?;
        let watched = buffers().zip(infinite).filter(|(_, infinite)| *infinite == 0.0);
        Ok(Self(watched.map(|((name, t), _)| (source(name), t.shallow_clone())).collect()))
    }

    /// A scalar on the device that is not 0 where a buffer is not finite; `None` without buffers. Does
    /// not synchronise with the device.
    pub(crate) fn flag(&self) -> Result<Option<Tensor>> {
        libtorch::any_not_finite(self.0.iter().map(|(_, tensor)| tensor))
    }

    /// The first buffer that is not finite, else [`Source::Total`]. Synchronises with the device.
    pub(crate) fn first(&self) -> Result<Source> {
        let shared = |(source, tensor): &(Source, Tensor)| (source.clone(), tensor.shallow_clone());
        sources::first(self.0.iter().map(shared).collect())
    }
}
