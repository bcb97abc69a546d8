//! Fused optimizer steps and gradient clipping, each in one call for all parameters.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::error::Result;

type Tensors = *const *const C_tensor;

unsafe extern "C" {
    fn g2d_sgd(
        parameters: Tensors,
        momenta: Tensors,
        count: usize,
        lr: f64,
        momentum: f64,
        dampening: f64,
        weight_decay: f64,
        nesterov: bool,
        fresh: bool,
    ) -> *mut c_char;
    fn g2d_adam(
        parameters: Tensors,
        first: Tensors,
        second: Tensors,
        largest: Tensors,
        steps: Tensors,
        count: usize,
        lr: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        eps: f64,
        decoupled: bool,
    ) -> *mut c_char;
    fn g2d_clip_grad_norm(
        parameters: Tensors,
        count: usize,
        limit: f64,
        norm: *mut *mut c_void,
    ) -> *mut c_char;
}

/// The hyper-parameters of SGD.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SgdArgs {
    pub lr: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub weight_decay: f64,
    pub nesterov: bool,
}

/// The hyper-parameters of Adam, and of AdamW if `decoupled`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamArgs {
    pub lr: f64,
    pub betas: [f64; 2],
    pub weight_decay: f64,
    pub eps: f64,
    pub decoupled: bool,
}

/// The state of Adam, one tensor per parameter: first and second moments, the largest second
/// moments for AMSGrad, and the numbers of steps.
#[derive(Debug, Default)]
pub(crate) struct AdamMoments<'a> {
    pub first: Vec<&'a Tensor>,
    pub second: Vec<&'a Tensor>,
    pub largest: Option<Vec<&'a Tensor>>,
    pub steps: Vec<&'a Tensor>,
}

/// One step of SGD for parameters with defined gradients. With momentum, `momenta` has one tensor
/// per parameter; `fresh` ones are initialised with the gradients.
pub(crate) fn sgd(
    parameters: &[&Tensor],
    momenta: Option<&[&Tensor]>,
    args: SgdArgs,
    fresh: bool,
) -> Result<()> {
    debug_assert!(momenta.is_none_or(|momenta| momenta.len() == parameters.len()));
    let (parameters, momenta) = (pointers(parameters), momenta.map(pointers));
    let SgdArgs { lr, momentum, dampening, weight_decay, nesterov } = args;
    // SAFETY: every pointer is a live `at::Tensor*` while its tensor is borrowed, and each array
    // has `count` of them or is null. The shim changes contents in place, as tch's optimizers do.
    check("step SGD", unsafe {
        g2d_sgd(
            parameters.as_ptr(),
            momenta.as_ref().map_or(ptr::null(), Vec::as_ptr),
            parameters.len(),
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov,
            fresh,
        )
    })
}

/// One step of Adam or AdamW for parameters with defined gradients.
pub(crate) fn adam(
    parameters: &[&Tensor],
    moments: &AdamMoments<'_>,
    args: AdamArgs,
) -> Result<()> {
    let count = parameters.len();
    debug_assert!(
        [&moments.first, &moments.second, &moments.steps].iter().all(|m| m.len() == count)
    );
    let parameters = pointers(parameters);
    let [first, second, steps] =
        [&moments.first, &moments.second, &moments.steps].map(|tensors| pointers(tensors));
    let largest = moments.largest.as_deref().map(pointers);
    let AdamArgs { lr, betas: [beta1, beta2], weight_decay, eps, decoupled } = args;
    // SAFETY: as in `sgd`.
    check("step Adam", unsafe {
        g2d_adam(
            parameters.as_ptr(),
            first.as_ptr(),
            second.as_ptr(),
            largest.as_ref().map_or(ptr::null(), Vec::as_ptr),
            steps.as_ptr(),
            count,
            lr,
            beta1,
            beta2,
            weight_decay,
            eps,
            decoupled,
        )
    })
}

/// Scales the gradients of `parameters` so that their joint norm is at most `limit`. Returns the
/// norm before, a scalar on the device; `None` without gradients.
pub(crate) fn clip_grad_norm(parameters: &[&Tensor], limit: f64) -> Result<Option<Tensor>> {
    let parameters = pointers(parameters);
    let mut norm = ptr::null_mut();
    // SAFETY: as in `sgd`. `norm` is null or a new `at::Tensor*` that this function owns.
    unsafe {
        let message =
            g2d_clip_grad_norm(parameters.as_ptr(), parameters.len(), limit, &raw mut norm);
        check("clip gradients", message)?;
        Ok((!norm.is_null()).then(|| Tensor::from_ptr(norm.cast())))
    }
}

fn pointers(tensors: &[&Tensor]) -> Vec<*const C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr()).collect()
}
