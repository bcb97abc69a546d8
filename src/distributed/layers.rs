//! The connections of layers that reduce inside forward and backward passes.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tch::Tensor;

use crate::error::Result;
use crate::libtorch::RawGroup;

/// Connections beside those of the trainer, so that a rank that fails inside a forward pass can close them and
/// still show the others its error: they then receive an error where they wait for it, not a sum with something
/// else.
#[derive(Default)]
pub(super) struct LayerConnections {
    /// Whether a layer reduces.
    is_used: Cell<bool>,
    /// `None` before the first use, and after an error.
    open: RefCell<Option<Rc<RawGroup>>>,
    /// How often they were closed.
    generation: Cell<u64>,
}

impl LayerConnections {
    pub(super) fn is_used(&self) -> bool {
        self.is_used.get()
    }

    pub(super) fn mark_used(&self) {
        self.is_used.set(true);
    }

    /// The sum of `tensor` over all ranks, as a part of the graph. `connect` makes new connections under a name.
    pub(super) fn sum(
        &self,
        tensor: &Tensor,
        connect: impl FnOnce(&str) -> Result<RawGroup>,
    ) -> Result<Tensor> {
        let open = self.open.borrow().as_ref().map(Rc::clone);
        let raw = match open {
            Some(raw) => raw,
            None => {
                let raw = Rc::new(connect(&format!("layers/{}", self.generation.get()))?);
                self.open.replace(Some(Rc::clone(&raw)));
                raw
            }
        };
        raw.sum_in_graph(tensor)
    }

    /// Closes the connections, on all ranks; the next use makes new ones.
    pub(super) fn close(&self) {
        self.open.replace(None);
        self.generation.set(self.generation.get() + 1);
    }
}
