//! What an algorithm has computed in a step.

use tch::Tensor;

use crate::loss::Terms;
use crate::modality::Modality;
use crate::step::Detail;

/// What an algorithm has computed in a step.
#[derive(Debug)]
pub struct Computed {
    /// The terms of the loss: scalars.
    pub terms: Terms,
    /// The fused logits [B, C].
    pub logits: Tensor,
    /// The factor on each encoder's gradient; `None` if there is none.
    pub factors: Option<Vec<f64>>,
    /// The values that only this algorithm has.
    pub details: Vec<Detail>,
}

impl Computed {
    /// A step with this loss and task loss, both scalars, and fused logits [B, C].
    pub fn new(total: &Tensor, task: &Tensor, logits: &Tensor) -> Self {
        let mut terms = Terms::from_task(task.detach());
        terms.total = total.detach();
        Self { terms, logits: logits.detach(), factors: None, details: Vec::new() }
    }

    /// Adds the losses of the modalities' own logits: scalars, one per modality.
    pub fn heads(mut self, losses: &[Tensor]) -> Self {
        self.terms.head = losses.iter().map(|loss| Some(loss.detach())).collect();
        self
    }

    /// Adds the value `name` of the step.
    pub fn detail(mut self, name: &str, value: &Tensor) -> Self {
        self.details.push(Detail::new(name, value));
        self
    }

    /// Adds the value `name` of each modality.
    pub fn each<'t>(
        mut self,
        name: &str,
        modalities: &[Modality],
        values: impl IntoIterator<Item = &'t Tensor>,
    ) -> Self {
        let values = modalities.iter().zip(values);
        self.details.extend(values.map(|(m, value)| Detail::of(name, m, value)));
        self
    }

    /// Adds the number `name` of each modality.
    pub fn numbers(self, name: &str, modalities: &[Modality], values: &[f64]) -> Self {
        let values: Vec<Tensor> = values.iter().map(|&value| Tensor::from(value)).collect();
        self.each(name, modalities, &values)
    }
}
