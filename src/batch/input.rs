//! What a batch holds of one modality.

use std::{borrow::Cow, ops::Deref};

use tch::Tensor;

use crate::error::{self, Result};

/// The name of the tensor of an input that was made from one tensor.
const VALUES: &str = "values";

/// The input of one modality: a tensor [B, …] of any dtype, or an ordered set of named ones, such as
/// token ids with a mask, or features with boxes.
///
/// An input dereferences to its [`first`](Self::first) tensor, so that a function of a tensor takes it:
/// `layer.forward(input)`.
///
/// # Example
/// ```
/// use g2d::batch::Input;
/// use tch::{Tensor, kind};
///
/// let ids = Tensor::zeros([4, 9], kind::INT64_CPU);
/// let text = Input::new("ids", ids).with("mask", Tensor::ones([4, 9], (tch::Kind::Bool, tch::Device::Cpu)));
/// assert_eq!(text.size(), [4, 9]); // of the ids, the first tensor
/// assert_eq!(text.tensor("mask")?.kind(), tch::Kind::Bool);
/// let error = text.tensor("lengths").unwrap_err().to_string();
/// assert!(error.contains(r#"["ids", "mask"]"#));
///
/// let image = Input::from(Tensor::zeros([4, 3, 8, 8], kind::FLOAT_CPU)); // its name is "values"
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct Input {
    /// At least one.
    tensors: Vec<(Cow<'static, str>, Tensor)>,
}

impl Input {
    /// An input of one tensor [B, …] with a name.
    pub fn new(name: impl Into<Cow<'static, str>>, tensor: Tensor) -> Self {
        Self { tensors: vec![(name.into(), tensor)] }
    }

    /// Adds a tensor [B, …], or replaces the tensor of this name.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, tensor: Tensor) -> Self {
        let name = name.into();
        match self.tensors.iter_mut().find(|(other, _)| *other == name) {
            Some((_, own)) => *own = tensor,
            None => self.tensors.push((name, tensor)),
        }
        self
    }

    /// The first tensor, and the only one of an input that was made from a tensor.
    pub fn first(&self) -> &Tensor {
        &self.tensors[0].1
    }

    /// The tensor called `name`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), with the names that exist, if there is none.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let found = self.tensors.iter().find(|(other, _)| other == name);
        found.map(|(_, tensor)| tensor).ok_or_else(|| {
            let names: Vec<_> = self.tensors().map(|(name, _)| name).collect();
            let hint = "add it with `batch::Input::with`, or correct the name";
            error::config("tensor of an input", format!("{name:?}"), format!("{names:?}"), hint)
        })
    }

    /// The tensors and their names, in order; at least one.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (&**name, tensor))
    }

    /// A copy that shares the tensors.
    pub fn shallow_clone(&self) -> Self {
        let tensors = self.tensors.iter().map(|(name, t)| (name.clone(), t.shallow_clone()));
        Self { tensors: tensors.collect() }
    }

    /// The same names with `each` applied to the tensors.
    pub(crate) fn map(&self, each: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let tensors = self.tensors.iter().map(|(name, t)| Ok((name.clone(), each(t)?)));
        Ok(Self { tensors: tensors.collect::<Result<_>>()? })
    }

    /// The same names and further tensors, with another first tensor.
    pub(crate) fn with_first(&self, first: Tensor) -> Self {
        let mut input = self.shallow_clone();
        input.tensors[0].1 = first;
        input
    }
}

impl From<Tensor> for Input {
    fn from(tensor: Tensor) -> Self {
        Self::new(VALUES, tensor)
    }
}

impl From<&Tensor> for Input {
    /// Shares the tensor.
    fn from(tensor: &Tensor) -> Self {
        tensor.shallow_clone().into()
    }
}

impl From<&Input> for Input {
    /// As [`shallow_clone`](Input::shallow_clone).
    fn from(input: &Input) -> Self {
        input.shallow_clone()
    }
}

impl Deref for Input {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        self.first()
    }
}
