//! One sample of a data set.

use std::collections::BTreeMap;

use tch::Tensor;

use crate::batch::Input;

/// One sample: its target, an input per modality, or the absence of one, and extras.
///
/// Tensors have no batch dimension: [`collate`](super::collate) stacks those of all samples of a batch.
/// The inputs are in the student's order, and every sample has the same number of them.
///
/// # Example
/// ```
/// use g2d::{batch::Input, data::Sample};
/// use tch::{Tensor, kind};
///
/// let spectrogram = Tensor::zeros([1, 64, 100], kind::FLOAT_CPU);
/// let words = Tensor::from_slice(&[101_i64, 7592, 102]);
/// let sample = Sample::new(3_i64) // the class
///     .input(spectrogram)
///     .sequence(Input::new("ids", words)) // padded to the longest of the batch
///     .missing() // no video
///     .extra("weight", 0.5_f32);
/// ```
#[derive(Debug)]
pub struct Sample {
    pub(super) inputs: Vec<SampleInput>,
    pub(super) target: Tensor,
    pub(super) extras: BTreeMap<String, Tensor>,
    /// For messages; [`collate`](super::collate) takes the row in the batch if there is none.
    pub(super) id: Option<i64>,
}

/// What a sample has of a modality.
#[derive(Debug)]
pub(super) enum SampleInput {
    Missing,
    /// Tensors that have the same shape in every sample.
    Fixed(Input),
    /// Tensors [T, …] with a length T of this sample.
    Sequence(Input),
    /// Tensors [0, …]: the sample lacks a modality of sequences with these names, dtypes and shapes.
    EmptySequence(Input),
}

impl SampleInput {
    /// The tensors, if the sample has the modality.
    pub fn tensors(&self) -> Option<&Input> {
        match self {
            Self::Missing | Self::EmptySequence(_) => None,
            Self::Fixed(input) | Self::Sequence(input) => Some(input),
        }
    }

    /// The tensors [0, …] of a modality of sequences that the sample lacks.
    pub fn empty_sequence(&self) -> Option<&Input> {
        match self {
            Self::EmptySequence(input) => Some(input),
            _ => None,
        }
    }

    pub fn is_sequence(&self) -> bool {
        matches!(self, Self::Sequence(_))
    }

    /// How messages describe the form, in which the samples of a batch agree.
    pub fn form(&self) -> String {
        let names: Vec<_> = self
            .tensors()
            .into_iter()
            .flat_map(|input| input.tensors())
            .map(|(name, _)| name)
            .collect();
        let form = if self.is_sequence() { "a sequence of tensors" } else { "tensors" };
        format!("{form} {names:?}")
    }
}

impl Sample {
    /// A sample with this target and without inputs: a number, such as a class label in `i64` or a value
    /// in `f32`, or a tensor.
    pub fn new(target: impl Into<Tensor>) -> Self {
        Self { inputs: Vec::new(), target: target.into(), extras: BTreeMap::new(), id: None }
    }

    /// Adds the input of the next modality: a tensor, or a set of named ones. It has the same shape in
    /// every sample that has the modality.
    pub fn input(self, input: impl Into<Input>) -> Self {
        self.with(SampleInput::Fixed(input.into()))
    }

    /// Adds the input of the next modality, a sequence: a tensor [T, …], or a set of named ones with the
    /// same T, which may differ between samples.
    ///
    /// The batch has the tensors as [B, T of the longest, …] with zeros after the end, and beside them
    /// `mask` [B, T], `Bool`, whether there is a value, and `lengths` \[B\], `Int64`. A sequence that has
    /// a tensor of such a name keeps its own.
    ///
    /// With T = 0 the sample lacks the modality, as with [`missing`](Self::missing). A batch that lacks it
    /// altogether still has the tensors, with T = 1, so that a fusion may read its mask.
    pub fn sequence(self, input: impl Into<Input>) -> Self {
        let input = input.into();
        let is_empty = input.tensors().all(|(_, tensor)| tensor.size().first() == Some(&0));
        self.with(match is_empty {
            true => SampleInput::EmptySequence(input),
            false => SampleInput::Sequence(input),
        })
    }

    /// Records that the sample lacks the next modality. The batch marks it as
    /// [`Batch::with_present`](crate::Batch::with_present) does.
    pub fn missing(self) -> Self {
        self.with(SampleInput::Missing)
    }

    /// Adds the input of the next modality as [`input`](Self::input), or as [`missing`](Self::missing)
    /// if it is `None`.
    pub fn input_or_missing(self, input: Option<impl Into<Input>>) -> Self {
        match input {
            Some(input) => self.input(input),
            None => self.missing(),
        }
    }

    /// Adds the input of the next modality as [`sequence`](Self::sequence), or as
    /// [`missing`](Self::missing) if it is `None`.
    pub fn sequence_or_missing(self, input: Option<impl Into<Input>>) -> Self {
        match input {
            Some(input) => self.sequence(input),
            None => self.missing(),
        }
    }

    /// Adds a number or tensor beside inputs and target, such as a weight or the target of another task,
    /// or replaces the one of this name. Every sample of a batch has the same extras in the same shapes;
    /// the batch has them as [`Batch::with_extra`](crate::Batch::with_extra) adds them.
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Tensor>) -> Self {
        self.extras.insert(name.into(), value.into());
        self
    }

    fn with(mut self, input: SampleInput) -> Self {
        self.inputs.push(input);
        self
    }
}
