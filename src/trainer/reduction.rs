//! Gradients averaged over the ranks, once per accumulation window.

use std::fmt;

use tch::{Kind, Tensor};

use crate::error::{self, Error, Result};
use crate::parameters::Variables;
use crate::ranks::{Ranks, Reducer};
use crate::step::MicroBatch;

/// Averages gradients over the ranks of a group; does nothing without one. It owns the reducer, which is
/// made again when other parameters learn.
#[derive(Default)]
pub(super) struct Reduction {
    ranks: Ranks,
    reducer: Option<Box<dyn Reducer>>,
    /// Which parameters the reducer has.
    learning: Vec<bool>,
    leaves: Option<Leaves>,
}

/// Two leaves [1] beside the parameters.
struct Leaves {
    /// Part of every loss, with the factor 0: a reduction starts when backward reaches a first parameter.
    anchor: Tensor,
    /// Part of no loss: libtorch warns where every parameter is used.
    unused: Tensor,
}

impl Reduction {
    pub(super) fn new(ranks: Ranks) -> Self {
        Self { ranks, ..Self::default() }
    }

    /// Prepares the backward pass from the loss of a micro-batch, and returns the loss to differentiate.
    pub(super) fn prepare(
        &mut self,
        loss: Tensor,
        variables: &Variables,
        micro_batch: MicroBatch,
    ) -> Result<Tensor> {
        if self.ranks.group().is_none() {
            return Ok(loss);
        }
        let learning = learning(variables);
        if micro_batch.is_first() {
            if self.reducer.is_none() || learning != self.learning {
                self.make(variables, &loss)?;
                self.learning = learning;
            }
            self.reducer().reset()?;
        } else if learning != self.learning {
            return Err(error::config(
                "parameters that require gradients",
                "the same in all micro-batches of a window",
                "others than in its first one",
                "freeze and unfreeze layers between windows",
            ));
        }
        if !micro_batch.is_last() {
            return Ok(loss);
        }
        let loss = self.anchored(&loss)?;
        self.reducer().prepare(&loss)?;
        Ok(loss)
    }

    /// Checks that the backward pass of the last micro-batch has averaged all gradients.
    pub(super) fn finish(&self, micro_batch: MicroBatch) -> Result<()> {
        match &self.reducer {
            Some(reducer) if micro_batch.is_last() => reducer.check_finished(),
            _ => Ok(()),
        }
    }

    /// Averages the gradients that a window has so far.
    pub(super) fn complete_early(&mut self) -> Result<()> {
        let Some(leaves) = &self.leaves else { return Ok(()) };
        let zero = leaves.anchor.f_new_zeros([], (Kind::Float, leaves.anchor.device()));
        let zero = zero.map_err(|source| Error::torch("average gradients", source))?;
        let loss = self.anchored(&zero)?;
        self.reducer().prepare(&loss)?;
        loss.f_backward().map_err(|source| Error::torch("average gradients", source))?;
        self.reducer().check_finished()
    }

    /// Frees the reducer and closes the group after an error inside a backward pass, which the other ranks do
    /// not have.
    pub(super) fn break_off(&mut self, error: Error) -> Error {
        self.reducer = None;
        self.ranks.close_after(error)
    }

    fn make(&mut self, variables: &Variables, loss: &Tensor) -> Result<()> {
        self.reducer = None; // its hooks go first
        let leaf = || Tensor::f_zeros([1], (Kind::Float, loss.device()))?.f_set_requires_grad(true);
        let leaf =
            || leaf().map_err(|source| Error::torch("prepare the reduction of gradients", source));
        let leaves = Leaves { anchor: leaf()?, unused: leaf()? };
        let parameters = variables.parameters().map(|(_, tensor)| tensor);
        let mut all: Vec<&Tensor> = parameters.filter(|tensor| tensor.requires_grad()).collect();
        all.extend([&leaves.anchor, &leaves.unused]);
        self.reducer = self.ranks.reducer(&all)?;
        self.leaves = Some(leaves);
        Ok(())
    }

    fn reducer(&self) -> &dyn Reducer {
        self.reducer.as_deref().expect("a reducer is made before the first micro-batch")
    }

    /// `loss` + 0 · the anchor.
    fn anchored(&self, loss: &Tensor) -> Result<Tensor> {
        let anchor = &self.leaves.as_ref().expect("the leaves are made with the reducer").anchor;
        let add = || loss.f_add(&(anchor.f_sum(loss.kind())? * 0.0));
        add().map_err(|source| Error::torch("prepare the reduction of gradients", source))
    }
}

/// Which parameters require gradients.
fn learning(variables: &Variables) -> Vec<bool> {
    variables.parameters().map(|(_, tensor)| tensor.requires_grad()).collect()
}

/// A number that depends on which parameters require gradients, exact as a `Double`.
pub(super) fn learning_digest(variables: &Variables) -> f64 {
    let add =
        |digest: u64, learns: bool| (digest ^ u64::from(learns)).wrapping_mul(0x0100_0000_01b3);
    (learning(variables).into_iter().fold(0xcbf2_9ce4_8422_2325, add) >> 16) as f64
}

impl fmt::Debug for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reduction({:?})", self.ranks)
    }
}
