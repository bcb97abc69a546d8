//! A teacher made of tch modules.

use std::fmt;

use tch::{Tensor, nn::VarStore};

use super::{Teacher, TeacherOutput, UnimodalModel};
use crate::{Batch, Modality, Result};

/// A closure over tch modules: frozen, in evaluation mode, without gradient.
///
/// # Example
/// ```
/// use g2d::ModuleTeacher;
/// use tch::{Device, nn, nn::Module};
///
/// let mut vs = nn::VarStore::new(Device::Cpu);
/// let encoder = nn::linear(vs.root() / "net", 8, 4, Default::default());
/// let head = nn::linear(vs.root() / "classifier", 4, 3, Default::default());
/// // … train it or load it, then:
/// let teacher = ModuleTeacher::new("audio", &mut vs, move |input, _train| {
///     let features = encoder.forward(input).relu();
///     let logits = head.forward(&features);
///     (features, logits)
/// });
/// ```
pub struct ModuleTeacher {
    modality: Modality,
    model: Box<dyn UnimodalModel + Send>,
}

impl ModuleTeacher {
    /// Freezes `vs` and takes `forward(input [B, …], train) -> (features [B, d], logits [B, C])`.
    ///
    /// The teacher always passes `train = false`: hand it on to every `forward_t`.
    pub fn new(
        modality: impl Into<Modality>,
        vs: &mut VarStore,
        forward: impl Fn(&Tensor, bool) -> (Tensor, Tensor) + Send + 'static,
    ) -> Self {
        Self::boxed(modality, vs, Box::new(forward))
    }

    /// The same of any [`UnimodalModel`], whose parameters `vs` holds.
    pub fn boxed(
        modality: impl Into<Modality>,
        vs: &mut VarStore,
        model: Box<dyn UnimodalModel + Send>,
    ) -> Self {
        vs.freeze();
        Self { modality: modality.into(), model }
    }
}

impl Teacher for ModuleTeacher {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let _no_grad = tch::no_grad_guard();
        let (features, logits) = self.model.forward(batch.checked_input(m)?, false)?;
        Ok(TeacherOutput { features, logits, host: None })
    }
}

impl fmt::Debug for ModuleTeacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleTeacher").field("modality", &self.modality).finish_non_exhaustive()
    }
}
