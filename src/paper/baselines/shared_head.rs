//! One head for the features of all modalities.

use std::borrow::Borrow;

use tch::{
    Tensor,
    nn::{self, Module},
};

use crate::algorithm::{Gradients, Parameter, Session};
use crate::error::{self, Result};

/// A head of one or two linear layers that the features of every modality pass through, so that all
/// have the same width.
#[derive(Debug)]
pub struct SharedHead {
    /// The first of two layers, with ReLU.
    hidden: Option<nn::Linear>,
    out: nn::Linear,
    width: i64,
}

impl SharedHead {
    /// Registers a linear layer from `width` features to `outputs` at `path`, initialised as tch does.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a size below 1.
    pub fn new<'a>(path: impl Borrow<nn::Path<'a>>, width: i64, outputs: i64) -> Result<Self> {
        check_sizes(&[width, outputs])?;
        let out = nn::linear(path, width, outputs, nn::LinearConfig::default());
        Ok(Self { hidden: None, out, width })
    }

    /// Registers a linear layer to `hidden` units, ReLU, and a linear layer to `outputs`, as `fc1` and
    /// `fc2` below `path`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_hidden<'a>(
        path: impl Borrow<nn::Path<'a>>,
        width: i64,
        hidden: i64,
        outputs: i64,
    ) -> Result<Self> {
        check_sizes(&[width, hidden, outputs])?;
        let (path, config) = (path.borrow(), nn::LinearConfig::default());
        let first = nn::linear(path / "fc1", width, hidden, config);
        let out = nn::linear(path / "fc2", hidden, outputs, config);
        Ok(Self { hidden: Some(first), out, width })
    }

    /// The logits [B, C] of features [B, width].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for features of another shape.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        if features.dim() != 2 || features.size()[1] != self.width {
            let expected = format!("[B, {}], the width of the shared head", self.width);
            let hint = "give the encoders one width, and the head that width";
            return Err(error::wrong_shape("features", expected, &features.size(), hint));
        }
        let hidden = self.hidden.as_ref().map(|layer| layer.forward(features).relu());
        Ok(self.out.forward(hidden.as_ref().unwrap_or(features)))
    }

    /// Refuses a session whose model does not have the parameters of this head, or has them as those of an
    /// encoder.
    pub(super) fn check_known(&self, session: &Session) -> Result<()> {
        let is_shared = |weight: &Tensor| {
            let own = |p: &Parameter| p.tensor.data_ptr() == weight.data_ptr();
            session.parameters().iter().any(|p| own(p) && p.modality.is_none())
        };
        if self.tensors().all(is_shared) {
            return Ok(());
        }
        let hint = "make the head in the model's `VarStore`, outside the encoders' paths, before the \
                    `ModalityParams`";
        let expected = "parameters of the model that belong to no encoder";
        Err(error::config("parameters of the shared head", expected, "others", hint))
    }

    /// The L2 norm of the gradients of this head, a scalar.
    pub(super) fn gradient_norm(&self, gradients: &Gradients<'_>) -> Result<Tensor> {
        let pointers: Vec<_> = self.tensors().map(Tensor::data_ptr).collect();
        Gradients::of(gradients, |p| pointers.contains(&p.tensor.data_ptr())).norm()
    }

    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let layers = self.hidden.iter().chain([&self.out]);
        layers.flat_map(|layer| [Some(&layer.ws), layer.bs.as_ref()]).flatten()
    }

    /// Whether it is one linear layer.
    pub fn is_linear(&self) -> bool {
        self.hidden.is_none()
    }

    /// The weight [C, d] of the last layer.
    pub fn weight(&self) -> &Tensor {
        &self.out.ws
    }
}

fn check_sizes(sizes: &[i64]) -> Result<()> {
    match sizes.iter().find(|size| **size < 1) {
        None => Ok(()),
        Some(size) => Err(error::out_of_range("sizes of a shared head", "at least 1", size)),
    }
}
