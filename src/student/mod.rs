//! The multimodal model that is trained.
//!
//! - [`Student`]: the trait.
//! - [`Closures`]: a student from closures.
//! - [`Features`]: what its fusion reads.

mod caught;
mod closures;
mod features;

use tch::Tensor;

pub(crate) use caught::Caught;
pub use closures::{Closures, ClosuresBuilder};
pub use features::Features;

use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;

/// A multimodal model: one encoder per modality, and a fusion of their features.
///
/// `encode` and `fuse` are separate so that the trainer decides which encoders are part of the
/// autograd graph: it calls the encoder of a suppressed modality under `no_grad`, which saves its
/// backward pass and its activations.
///
/// # Contract
/// - [`modalities`](Self::modalities) returns the same names in the same order for the life of the
///   model. Every index `m` in the crate is an index into it.
/// - [`encode`](Self::encode) uses only the input and the encoder of modality `m`, and layers that
///   modalities share ([`ModalityParams`](crate::ModalityParams)). It returns features [B, d_m], or
///   another shape that `fuse` and `distilled_features` accept, such as [B, T, d_m]. Its batch
///   holds only samples that have `m`; without such samples it is not called.
/// - Layers that combine modalities, such as cross-attention, belong in [`fuse`](Self::fuse). It reads
///   masks and lengths of the inputs by [`Features::input`].
/// - `fuse` returns logits or predictions [B, C]. The features of a sample that lacks a modality
///   are zeros without gradient; [`Features::rows`] are the samples that have it.
/// - `train` selects training or evaluation mode for batch norm and dropout, as in tch.
/// - No method enables or disables gradients.
///
/// A panic in one of its methods, for example of a layer of tch whose input has the wrong shape, is an
/// [`Error::Panic`](crate::Error::Panic) of [`G2dTrainer::step`](crate::G2dTrainer::step),
/// [`evaluate`](crate::evaluate) and the held-out measures. It names the modality or the fusion and the
/// shapes of the inputs; the trainer can be used afterwards. Rust's panic hook, which prints, runs first.
///
/// # Example
/// ```
/// use g2d::{Batch, Features, Modality, Result, Student};
/// use tch::{Tensor, nn, nn::Module};
///
/// struct TwoLinear { names: Vec<Modality>, encoders: Vec<nn::Linear>, head: nn::Linear }
///
/// impl Student for TwoLinear {
///     fn modalities(&self) -> &[Modality] { &self.names }
///     fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
///         Ok(self.encoders[m].forward(batch.input(m)).relu())
///     }
///     fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
///         Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
///     }
/// }
/// ```
pub trait Student {
    /// The modalities, in the order of the indices `m`.
    fn modalities(&self) -> &[Modality];

    /// Computes the features [B, d_m] of modality `m`.
    ///
    /// # Errors
    /// Any error of the model; [`G2dTrainer::step`](crate::G2dTrainer::step) returns it.
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor>;

    /// Computes logits (classification) or predictions (regression) [B, C] from the features of all
    /// modalities.
    ///
    /// A fusion that weighs the modalities does so over those that a sample has, by [`Features::rows`]
    /// ([`late_fusion`](crate::calibration::late_fusion)).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor>;

    /// The shape [d_m, …] of one sample's features of modality `m`, without the batch dimension.
    ///
    /// The trainer calls it if a whole batch lacks `m`: the encoder does not run then, and `fuse`
    /// receives zeros of this shape. With `None` (the default) such a batch is an error.
    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        let _ = m;
        None
    }

    /// Computes the features that L_feat compares with the teachers': one tensor [B, d] per
    /// modality, connected to the graph of `features`.
    ///
    /// By default the features themselves. A model that distils into a projection of its features
    /// returns the projection. The trainer calls it in steps with teachers.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        Ok(features.iter().map(Tensor::shallow_clone).collect())
    }

    /// Computes the logits [B, C] of the unimodal head of modality `m`: the fused model's
    /// prediction from `m` alone. `None` (the default) if the fusion has no such head.
    ///
    /// The evaluation, probes and a [`Modulate`](crate::modulation::Modulate) call it without
    /// gradient. The trainer calls it with gradient in the steps of a loss with head terms
    /// ([`HeadTerm`](crate::loss::HeadTerm)), which train the head and, through `features`, the encoder:
    /// then the logits must be connected to both, and must depend on the features of `m` alone. A model
    /// without heads gets them by [`WithHeads`](crate::heads::WithHeads). Reports leave out the head
    /// accuracy of a modality for which it returns `None`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        let _ = (m, features);
        Ok(None)
    }
}

const _: Option<&dyn Student> = None; // stays object-safe
