//! TorchScript modules recorded from a function. tch's `create_by_tracing` makes constants of the
//! parameters, of the batch size and of the device.

use std::{
    any::Any,
    ffi::{CString, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use super::{ScriptModule, check, checked};
use crate::error::{Error, Result};

type Run = unsafe extern "C" fn(*mut c_void, *const *mut C_tensor, usize) -> *const *mut C_tensor;

unsafe extern "C" {
    fn g2d_trace_module(
        names: *const *const c_char,
        tensors: *const *const C_tensor,
        is_parameter: *const bool,
        count: usize,
        module: *mut *mut c_void,
    ) -> *mut c_char;
    fn g2d_trace_method(
        module: *mut c_void,
        name: *const c_char,
        inputs: *const *const C_tensor,
        input_names: *const *const c_char,
        count: usize,
        first: i64,
        second: i64,
        context: *mut c_void,
        run: Run,
        outputs: usize,
        as_tuple: bool,
    ) -> *mut c_char;
}

/// A method to record.
pub(crate) struct Method<'a> {
    pub name: &'a str,
    /// Names of the inputs, Python identifiers.
    pub inputs: &'a [String],
    /// The number of outputs of a method that returns a tuple; `None` for one tensor.
    pub outputs: Option<usize>,
}

/// Why a method was not recorded.
pub(crate) enum TraceError {
    /// The function returned an error.
    Function(Error),
    /// libtorch refused the operations.
    Torch(TchError),
}

type Function<'a> = &'a mut dyn FnMut(&[Tensor]) -> Result<Vec<Tensor>>;

struct Context<'a> {
    function: Function<'a>,
    count: usize,
    outputs: Vec<Tensor>,
    pointers: Vec<*mut C_tensor>,
    failure: Option<Failure>,
}

enum Failure {
    Error(TraceError),
    Panic(Box<dyn Any + Send>),
}

impl ScriptModule {
    /// A module without methods that has these parameters (`true`) and buffers, under dotted names.
    pub(crate) fn with_variables(variables: &[(&str, &Tensor, bool)]) -> Result<Self> {
        let doing = "make a TorchScript module";
        let names: std::result::Result<Vec<_>, _> =
            variables.iter().map(|(name, ..)| CString::new(*name)).collect();
        let names = names.map_err(|e| Error::torch(doing, e.into()))?;
        let names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let tensors: Vec<_> = variables.iter().map(|(_, tensor, _)| tensor.as_ptr()).collect();
        let is_parameter: Vec<_> = variables.iter().map(|&(_, _, is)| is).collect();
        let mut module = ptr::null_mut();
        // SAFETY: the three arrays have `count` elements: NUL-terminated names that live in `names`, and
        // live `at::Tensor*`. On success `module` is a new module that nothing else has.
        unsafe {
            let message = g2d_trace_module(
                names.as_ptr(),
                tensors.as_ptr(),
                is_parameter.as_ptr(),
                variables.len(),
                &raw mut module,
            );
            check(doing, message)?;
            Ok(Self::from_ptr(module))
        }
    }

    /// Adds a method that computes what `function` computes for two lists of inputs, which are batches of
    /// `sizes` samples. In the method the number of samples and the device are those of its first input.
    /// A panic of `function` unwinds to the caller.
    pub(crate) fn trace(
        &mut self,
        method: &Method<'_>,
        inputs: [&[Tensor]; 2],
        sizes: [i64; 2],
        function: Function<'_>,
    ) -> std::result::Result<(), TraceError> {
        let torch = |e: std::ffi::NulError| TraceError::Torch(e.into());
        let name = CString::new(method.name).map_err(torch)?;
        let names = method.inputs.iter().map(|name| CString::new(name.as_str()));
        let names = names.collect::<std::result::Result<Vec<_>, _>>().map_err(torch)?;
        let names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let tensors: Vec<_> = inputs.iter().copied().flatten().map(Tensor::as_ptr).collect();
        debug_assert_eq!(tensors.len(), 2 * names.len());
        let mut context = Context {
            function,
            count: method.outputs.unwrap_or(1),
            outputs: Vec::new(),
            pointers: Vec::new(),
            failure: None,
        };
        // SAFETY: the module is alive and borrowed exclusively; the strings are NUL-terminated and live
        // in `name` and `names`; `tensors` has twice `count` live `at::Tensor*`; `run` gets `context`,
        // which outlives the call, and does not unwind.
        let message = unsafe {
            g2d_trace_method(
                self.as_ptr(),
                name.as_ptr(),
                tensors.as_ptr(),
                names.as_ptr(),
                names.len(),
                sizes[0],
                sizes[1],
                (&raw mut context).cast(),
                run,
                context.count,
                method.outputs.is_some(),
            )
        };
        match context.failure.take() {
            None => checked(message).map_err(TraceError::Torch),
            Some(Failure::Error(error)) => Err(error),
            // It did not unwind through C++.
            Some(Failure::Panic(panic)) => resume_unwind(panic),
        }
    }
}

/// Runs the function of a [`Context`]. Returns pointers to its outputs, which the context keeps, or null.
unsafe extern "C" fn run(
    context: *mut c_void,
    inputs: *const *mut C_tensor,
    count: usize,
) -> *const *mut C_tensor {
    // SAFETY: `context` is the `Context` of the running `trace`, which nothing else uses meanwhile;
    // `inputs` has `count` live `at::Tensor*`, which the clones share.
    let (context, inputs) = unsafe {
        let inputs = std::slice::from_raw_parts(inputs, count);
        let inputs: Vec<_> = inputs.iter().map(|&input| Tensor::clone_from_ptr(input)).collect();
        (&mut *context.cast::<Context<'_>>(), inputs)
    };
    let result = catch_unwind(AssertUnwindSafe(|| (context.function)(&inputs)));
    let outputs = match result {
        Ok(Ok(outputs)) if outputs.len() == context.count => Ok(outputs),
        Ok(Ok(outputs)) => {
            let text = format!("{} outputs in place of {}", outputs.len(), context.count);
            Err(Failure::Error(TraceError::Torch(TchError::Kind(text))))
        }
        Ok(Err(error)) => Err(Failure::Error(TraceError::Function(error))),
        Err(panic) => Err(Failure::Panic(panic)),
    };
    let outputs = match outputs {
        Ok(outputs) => outputs,
        Err(failure) => {
            context.failure = Some(failure);
            return ptr::null();
        }
    };
    context.outputs = outputs;
    context.pointers = context.outputs.iter().map(|tensor| tensor.as_ptr().cast_mut()).collect();
    context.pointers.as_ptr()
}
