//! A trained student as a file that runs without g2d.
//!
//! [`TorchScript`] writes a module that `torch.jit.load` runs in Python, C++ or tch, with the student's
//! calibrated prediction. For weights alone, which a PyTorch model of the same architecture loads, write
//! [`weights::save`](crate::weights::save). docs/export.md shows both ends.

mod check;
mod function;
mod names;
mod samples;
mod torchscript;

pub use torchscript::TorchScript;
