//! A teacher made of tch modules.

use std::fmt;

use tch::{Tensor, nn::VarStore};

use super::{Teacher, TeacherOutput, UnimodalModel};
use crate::batch::{Batch, Input};
use crate::error::Result;
use crate::modality::Modality;
use crate::parameters::Variables;

/// The model in an error.
const WHAT: &str = "frozen model";

/// A model of tch modules as a teacher: frozen, in evaluation mode, without gradient.
///
/// # Example
/// ```
/// use g2d::teacher::FrozenModel;
/// use tch::{Device, nn, nn::Module};
///
/// let mut vs = nn::VarStore::new(Device::Cpu);
/// let encoder = nn::linear(vs.root() / "net", 8, 4, Default::default());
/// let head = nn::linear(vs.root() / "classifier", 4, 3, Default::default());
/// // … train it or load its weights, then:
/// let teacher = FrozenModel::new("audio", &mut vs, move |input, _train| {
///     let features = encoder.forward(input).relu();
///     let logits = head.forward(&features);
///     (features, logits)
/// });
/// ```
pub struct FrozenModel {
    modality: Modality,
    model: Box<dyn UnimodalModel + Send>,
    /// The variables of a model that was not finite when it was frozen.
    suspect: Option<Variables>,
}

impl FrozenModel {
    /// Freezes `vs`, which holds the parameters of
    /// `forward(input [B, …], train) -> (features [B, d], logits [B, C])`. The [`Input`] of one tensor is
    /// used as the tensor.
    ///
    /// The teacher always passes `train = false`; pass it on to every `forward_t`.
    ///
    /// Load the weights before: if a parameter or running statistics are not finite, [`Teacher::output`]
    /// is an error that names the tensor, as long as they are not. Synchronises with the device.
    pub fn new(
        modality: impl Into<Modality>,
        vs: &mut VarStore,
        forward: impl Fn(&Input, bool) -> (Tensor, Tensor) + Send + 'static,
    ) -> Self {
        Self::from_model(modality, vs, forward)
    }

    /// Freezes `vs`, which holds the parameters of `model`, as [`new`](Self::new).
    pub fn from_model(
        modality: impl Into<Modality>,
        vs: &mut VarStore,
        model: impl UnimodalModel + Send + 'static,
    ) -> Self {
        vs.freeze();
        let variables = Variables::new(vs);
        let suspect = variables.check_finite(WHAT).is_err().then_some(variables);
        Self { modality: modality.into(), model: Box::new(model), suspect }
    }
}

impl Teacher for FrozenModel {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let _no_grad = tch::no_grad_guard();
        self.suspect.as_ref().map_or(Ok(()), |variables| variables.check_finite(WHAT))?;
        let (features, logits) = self.model.forward(batch.checked_input(m)?, false)?;
        Ok(TeacherOutput { features, logits, host: None })
    }
}

impl fmt::Debug for FrozenModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrozenModel").field("modality", &self.modality).finish_non_exhaustive()
    }
}
