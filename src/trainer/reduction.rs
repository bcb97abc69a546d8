//! Gradients averaged over the ranks, once per accumulation window.

use std::fmt;

use tch::{Kind, Tensor};

use crate::error::{self, Error, Result};
use crate::parameters::Variables;
use crate::ranks::{Ranks, Reducer};
use crate::step::MicroBatch;

/// The largest number of reducers that are kept, each with memory of the size of its parameters.
const KEPT: usize = 3;

/// Averages gradients over the ranks of a group; does nothing without one. It owns the reducers: one for
/// each set of parameters that learn, so that those of a suppressed encoder are not sent. The last one in use is
/// the last in the list.
#[derive(Default)]
pub(super) struct Reduction {
    ranks: Ranks,
    reducers: Vec<(Vec<bool>, Box<dyn Reducer>)>,
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
    /// `is_constant` tells which parameters, by their names, no rank reaches in it.
    pub(super) fn prepare(
        &mut self,
        loss: Tensor,
        variables: &Variables,
        micro_batch: MicroBatch,
        is_constant: impl Fn(&str) -> bool,
    ) -> Result<Tensor> {
        if self.ranks.group().is_none() {
            return Ok(loss);
        }
        // Other micro-batches of a window may reach other parameters.
        let is_alone = micro_batch.count == 1;
        let learns = |(name, tensor): (&String, &Tensor)| {
            tensor.requires_grad() && !(is_alone && is_constant(name))
        };
        let learning: Vec<bool> = variables.parameters().map(learns).collect();
        if micro_batch.is_first() {
            self.select(learning, variables, &loss)?;
            self.reducer().reset()?;
        } else if self.reducers.last().is_none_or(|(own, _)| *own != learning) {
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
        match self.reducers.last() {
            Some((_, reducer)) if micro_batch.is_last() => reducer.check_finished(),
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

    /// Frees the reducers and closes the group after an error inside a backward pass, which the other ranks do
    /// not have.
    pub(super) fn break_off(&mut self, error: Error) -> Error {
        self.reducers.clear();
        self.ranks.close_after(error)
    }

    /// Makes the reducer of the parameters that learn the last one in the list.
    fn select(&mut self, learning: Vec<bool>, variables: &Variables, loss: &Tensor) -> Result<()> {
        if let Some(known) = self.reducers.iter().position(|(own, _)| *own == learning) {
            let known = self.reducers.remove(known);
            self.reducers.push(known);
            return Ok(());
        }
        if self.reducers.len() == KEPT {
            self.reducers.remove(0);
        }
        let leaves = match self.leaves.take() {
            Some(leaves) => leaves,
            None => Leaves::new(loss)?,
        };
        let parameters = variables.parameters().map(|(_, tensor)| tensor).zip(&learning);
        let mut all: Vec<&Tensor> =
            parameters.filter(|(_, learns)| **learns).map(|(tensor, _)| tensor).collect();
        all.extend([&leaves.anchor, &leaves.unused]);
        let reducer = self.ranks.reducer(&all)?;
        self.leaves = Some(leaves);
        self.reducers.extend(reducer.map(|reducer| (learning, reducer)));
        Ok(())
    }

    fn reducer(&self) -> &dyn Reducer {
        &*self.reducers.last().expect("a reducer is made before the first micro-batch").1
    }

    /// `loss` + 0 · the anchor.
    fn anchored(&self, loss: &Tensor) -> Result<Tensor> {
        let anchor = &self.leaves.as_ref().expect("the leaves are made with the reducer").anchor;
        let add = || loss.f_add(&(anchor.f_sum(loss.kind())? * 0.0));
        add().map_err(|source| Error::torch("prepare the reduction of gradients", source))
    }
}

impl Leaves {
    /// Leaves on the device of `loss`.
    fn new(loss: &Tensor) -> Result<Self> {
        let leaf = || Tensor::f_zeros([1], (Kind::Float, loss.device()))?.f_set_requires_grad(true);
        let failed = |source| Error::torch("prepare the reduction of gradients", source);
        Ok(Self { anchor: leaf().map_err(failed)?, unused: leaf().map_err(failed)? })
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
