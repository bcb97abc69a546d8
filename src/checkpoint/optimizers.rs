//! The optimizers of a run.

use crate::optim::Optimizer;

/// The optimizers of a [`ResumableRun`](super::ResumableRun): an [`Optimizer`], several of them in an
/// array, a `Vec` or a tuple of two, or `()` for optimizers whose state is not saved, such as tch's.
pub trait Optimizers {
    /// Each optimizer with its name in a snapshot.
    fn named(&mut self) -> Vec<(String, &mut Optimizer)>;
}

impl Optimizers for () {
    fn named(&mut self) -> Vec<(String, &mut Optimizer)> {
        Vec::new()
    }
}

impl Optimizers for Optimizer {
    fn named(&mut self) -> Vec<(String, &mut Optimizer)> {
        vec![("main".to_owned(), self)]
    }
}

impl Optimizers for (Optimizer, Optimizer) {
    fn named(&mut self) -> Vec<(String, &mut Optimizer)> {
        numbered([&mut self.0, &mut self.1])
    }
}

impl<const N: usize> Optimizers for [Optimizer; N] {
    fn named(&mut self) -> Vec<(String, &mut Optimizer)> {
        numbered(self)
    }
}

impl Optimizers for Vec<Optimizer> {
    fn named(&mut self) -> Vec<(String, &mut Optimizer)> {
        numbered(self)
    }
}

fn numbered<'a>(
    optimizers: impl IntoIterator<Item = &'a mut Optimizer>,
) -> Vec<(String, &'a mut Optimizer)> {
    let named = |(i, optimizer): (usize, _)| (i.to_string(), optimizer);
    optimizers.into_iter().enumerate().map(named).collect()
}
