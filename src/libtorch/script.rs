//! TorchScript modules whose variables can be trained. tch's `TrainableCModule` changes their names and
//! leaves out the buffers.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    path::Path,
    ptr,
};

use tch::{Device, TchError, Tensor};
use torch_sys::C_tensor;

use super::{check, checked, text};
use crate::error::Result;

unsafe extern "C" {
    fn g2d_script_load(path: *const c_char, device: c_int, module: *mut *mut c_void)
    -> *mut c_char;
    fn g2d_script_free(module: *mut c_void);
    fn g2d_script_save(module: *mut c_void, path: *const c_char) -> *mut c_char;
    fn g2d_script_variables(
        module: *mut c_void,
        context: *mut c_void,
        add: unsafe extern "C" fn(*mut c_void, *const c_char, *mut C_tensor, bool),
    ) -> *mut c_char;
    fn g2d_script_method(
        module: *mut c_void,
        name: *const c_char,
        least: *mut i64,
        largest: *mut i64,
        methods: *mut *mut c_char,
    ) -> *mut c_char;
    fn g2d_script_set_training(module: *mut c_void, training: bool) -> *mut c_char;
    fn g2d_script_call(
        module: *mut c_void,
        name: *const c_char,
        inputs: *const *const C_tensor,
        count: usize,
        context: *mut c_void,
        add: unsafe extern "C" fn(*mut c_void, *mut C_tensor),
        kind: *mut *mut c_char,
    ) -> *mut c_char;
}

/// A TorchScript module.
#[derive(Debug)]
pub(crate) struct ScriptModule(*mut c_void);

// SAFETY: a module belongs to no thread. It is not `Sync`: a call may change its attributes.
unsafe impl Send for ScriptModule {}

/// A parameter or buffer of a module.
pub(crate) struct ScriptVariable {
    /// The name in PyTorch, such as `encoder.0.weight`.
    pub name: String,
    pub tensor: Tensor,
    pub is_parameter: bool,
}

/// The number of inputs of a method.
#[derive(Debug)]
pub(crate) struct Signature {
    pub least: usize,
    /// `None` without a limit.
    pub largest: Option<usize>,
}

/// The value that a method returned.
pub(crate) struct ScriptValue {
    /// The type in Python's terms.
    pub kind: String,
    /// The tensors of a tensor, or of a tuple or list of tensors.
    pub tensors: Vec<Tensor>,
}

type Call<T> = std::result::Result<T, TchError>;

impl ScriptModule {
    /// Takes over a module of the shim.
    ///
    /// # Safety
    /// `module` is a `torch::jit::Module*` from `new` that nothing else frees.
    pub(super) unsafe fn from_ptr(module: *mut c_void) -> Self {
        Self(module)
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.0
    }

    /// Loads the TorchScript archive at `path` onto `device`.
    pub(crate) fn load(path: &Path, device: Device) -> Call<Self> {
        let path = c_path(path)?;
        let device = match device {
            Device::Cuda(index) => index as c_int,
            Device::Mps => -2,
            _ => -1,
        };
        let mut module = ptr::null_mut();
        // SAFETY: `path` is NUL-terminated; `module` is written once, a new module on success.
        checked(unsafe { g2d_script_load(path.as_ptr(), device, &raw mut module) })?;
        // SAFETY: as above; nothing else has the pointer.
        Ok(unsafe { Self::from_ptr(module) })
    }

    /// Writes the module as a TorchScript archive.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let doing = "write a TorchScript module";
        let path = c_path(path).map_err(|e| crate::error::Error::torch(doing, e))?;
        // SAFETY: the module is alive, and `path` is NUL-terminated.
        check(doing, unsafe { g2d_script_save(self.0, path.as_ptr()) })
    }

    /// All parameters and buffers. Those with several names (tied weights) are one tensor.
    pub(crate) fn variables(&self) -> Result<Vec<ScriptVariable>> {
        unsafe extern "C" fn add(
            context: *mut c_void,
            name: *const c_char,
            tensor: *mut C_tensor,
            is_parameter: bool,
        ) {
            // SAFETY: `context` is the vector below, `name` a NUL-terminated string for this call, and
            // `tensor` a new `at::Tensor*` that this function owns.
            unsafe {
                let name = std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned();
                let variables = &mut *context.cast::<Vec<ScriptVariable>>();
                let tensor = Tensor::from_ptr(tensor);
                variables.push(ScriptVariable { name, tensor, is_parameter });
            }
        }
        let mut variables: Vec<ScriptVariable> = Vec::new();
        let context = (&raw mut variables).cast();
        // SAFETY: the module is alive, and `context` outlives the call.
        let message = unsafe { g2d_script_variables(self.0, context, add) };
        check("list the variables of a TorchScript module", message)?;
        Ok(variables)
    }

    /// The signature of the method called `name`; without such a method the names of all methods.
    pub(crate) fn method(&self, name: &str) -> Result<std::result::Result<Signature, String>> {
        let Ok(name) = CString::new(name) else { return Ok(Err(String::new())) };
        let (mut least, mut largest, mut methods) = (-1, -1, ptr::null_mut());
        // SAFETY: the module is alive, `name` is NUL-terminated, and the other pointers are to locals.
        let message = unsafe {
            g2d_script_method(
                self.0,
                name.as_ptr(),
                &raw mut least,
                &raw mut largest,
                &raw mut methods,
            )
        };
        let methods = text(methods).unwrap_or_default();
        check("find a method of a TorchScript module", message)?;
        Ok(usize::try_from(least)
            .map(|least| Signature { least, largest: usize::try_from(largest).ok() })
            .map_err(|_| methods))
    }

    /// Sets the module and all its parts to training or evaluation mode.
    pub(crate) fn set_training(&self, training: bool) -> Result<()> {
        let doing = "set the mode of a TorchScript module";
        // SAFETY: the module is alive.
        check(doing, unsafe { g2d_script_set_training(self.0, training) })
    }

    /// Calls a method with tensors, or with one list of them if this is what it takes.
    pub(crate) fn call(&self, name: &str, inputs: &[&Tensor]) -> Call<ScriptValue> {
        unsafe extern "C" fn add(context: *mut c_void, tensor: *mut C_tensor) {
            // SAFETY: `context` is the vector below, and `tensor` a new `at::Tensor*` that this function
            // owns.
            unsafe { (*context.cast::<Vec<Tensor>>()).push(Tensor::from_ptr(tensor)) }
        }
        let name = CString::new(name)?;
        let inputs: Vec<_> = inputs.iter().map(|tensor| tensor.as_ptr()).collect();
        let (mut tensors, mut kind): (Vec<Tensor>, _) = (Vec::new(), ptr::null_mut());
        // SAFETY: the module is alive; `inputs` has `count` live `at::Tensor*`; `context` outlives the
        // call; `kind` is null or a string of the shim.
        let message = unsafe {
            g2d_script_call(
                self.0,
                name.as_ptr(),
                inputs.as_ptr(),
                inputs.len(),
                (&raw mut tensors).cast(),
                add,
                &raw mut kind,
            )
        };
        let kind = text(kind).unwrap_or_default();
        checked(message)?;
        Ok(ScriptValue { kind, tensors })
    }
}

impl Drop for ScriptModule {
    fn drop(&mut self) {
        // SAFETY: the pointer is a module that only this value owns.
        unsafe { g2d_script_free(self.0) }
    }
}

fn c_path(path: &Path) -> Call<CString> {
    Ok(CString::new(path.to_string_lossy().as_bytes())?)
}
