//! The multimodal model that is trained.

use tch::Tensor;

use crate::{batch::Batch, error::Result, modality::Modality};

/// A multimodal model: an encoder per modality and a fusion.
///
/// `encode` and `fuse` are apart so that the trainer, which knows the plan, decides what enters
/// the graph: an encoder that is suppressed is called without gradient, and costs no backward and
/// no activations.
///
/// # Contract
/// - `modalities` returns the same names in the same order for the life of the model; every index
///   `m` in the crate is an index into it.
/// - `encode(m, …)` reads only the input of modality `m`, its encoder, and layers that modalities
///   share and none owns ([`ModalityParams`](crate::parameters::ModalityParams)), and returns features
///   [B, d_m], or [B, T, d_m] and the like, which `fuse` and `distilled_features` understand. It is
///   given the samples that have `m` alone, and not called where there are none.
/// - What looks at several modalities at once (cross-attention, say) belongs in `fuse`. A mask of
///   padding that it needs travels in the features, as a last column.
/// - `fuse` takes the features of all modalities and returns logits or predictions [B, C]. Where a
///   sample lacks a modality its features are zeros, a constant outside the graph.
/// - `train` is tch's flag: batch norm and dropout as in training, or as in evaluation.
/// - Neither switches gradients on or off.
///
/// A panic of tch inside (a layer fed the wrong shape, say) unwinds to the caller of
/// [`G2dTrainer::step`](crate::trainer::G2dTrainer::step) with gradient mode as it was before.
///
/// # Example
/// ```
/// use g2d::{Batch, Modality, Result, Student};
/// use tch::{Tensor, nn, nn::Module};
///
/// struct TwoLinear { names: Vec<Modality>, encoders: Vec<nn::Linear>, head: nn::Linear }
///
/// impl Student for TwoLinear {
///     fn modalities(&self) -> &[Modality] { &self.names }
///     fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
///         Ok(self.encoders[m].forward(batch.input(m)).relu())
///     }
///     fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
///         Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
///     }
/// }
/// ```
pub trait Student {
    /// The modalities, in the order of every index.
    fn modalities(&self) -> &[Modality];

    /// Features [B, d_m] of modality `m`.
    ///
    /// # Errors
    /// Whatever the model finds wrong; `step` passes it on.
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor>;

    /// Fused logits (classification) or predictions (regression) [B, C].
    ///
    /// # Errors
    /// Whatever the model finds wrong; `step` passes it on.
    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor>;

    /// The shape [d_m, …] of one sample's features of modality `m`, without the batch dimension.
    ///
    /// Asked only where a whole batch lacks `m`: its encoder then does not run, and the fusion sees
    /// zeros of this shape. With `None` (the default) such a batch is an error.
    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        let _ = m;
        None
    }

    /// What L_feat compares with the teachers' features: one tensor [B, d] a modality.
    ///
    /// The encoders' own features by default. A model that distils into a projection of them returns
    /// that here, connected to the graph of `features`. Called by a step whose loss has teachers.
    ///
    /// # Errors
    /// Whatever the model finds wrong; `step` passes it on.
    fn distilled_features(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(features.iter().map(Tensor::shallow_clone).collect())
    }

    /// What modality `m` alone would predict, [B, C], where the fusion can say it.
    ///
    /// Called without gradient, in evaluation, by probes and by a
    /// [`GradientModulation`](crate::modulation::Modulate). `None` (the default) leaves the accuracy of
    /// this modality's head out of reports.
    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        let _ = (m, features);
        None
    }
}

const _: Option<&dyn Student> = None; // stays object-safe
