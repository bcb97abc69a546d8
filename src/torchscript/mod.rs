//! TorchScript modules that are trained.
//!
//! [`Module`] loads a module that Python scripted or traced, with its parameters and buffers in a
//! `VarStore` under their PyTorch names. [`student::TorchScript`](crate::student::TorchScript) makes a
//! student of such modules; [`Method::call`] calls one anywhere, for example in an encoder of a student
//! written in Rust.
//!
//! **A TorchScript file is a program**: load only files that you trust.

mod archive;
mod cause;
mod module;

pub(crate) use archive::read;
pub(crate) use cause::error_cause;
pub use module::{Method, Module};
