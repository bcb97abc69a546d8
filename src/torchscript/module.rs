//! A module and its methods.

use std::{
    borrow::Borrow,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tch::{TchError, Tensor, nn};

use super::{archive, cause::error_cause};
use crate::error::{self, Error, Result};
use crate::file::atomic;
use crate::libtorch::{ScriptModule, Signature};

/// A TorchScript module whose parameters are trained.
///
/// Its parameters and buffers are variables of a `VarStore`, under the names that they have in PyTorch:
/// optimizers, [`ModalityParams`](crate::ModalityParams), snapshots and [`weights`](crate::weights) treat
/// them like those of a tch model, and a file of [`weights::save`](crate::weights::save) is loaded by the
/// `load_state_dict` of the original PyTorch module.
///
/// - A parameter that does not require a gradient in the file is frozen.
/// - Tied weights are one variable: the first name is trained, and the others are names of it.
/// - A module after `torch.jit.freeze` has constants in place of parameters and cannot be trained.
/// - `forward` may change buffers in place, as batch norm does. A buffer that it replaces by assignment
///   (`self.x = …`) is no longer the one in the `VarStore`.
///
/// Clones are handles on the same module.
///
/// # Example
/// ```no_run
/// use g2d::torchscript::Module;
/// use tch::{Device, Kind, Tensor, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let audio = Module::load("audio.pt", vs.root() / "audio")?; // "audio.conv1.weight", …
/// let features = audio.method("forward")?.call(&[Tensor::rand([2, 40], (Kind::Float, Device::Cpu))], true)?;
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Clone)]
pub struct Module {
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    state: Mutex<State>,
}

/// A call in a mode is one operation: nothing may change the mode in between.
struct State {
    module: ScriptModule,
    /// `None` before the first call.
    training: Option<bool>,
}

impl Module {
    /// Loads the module in `file` onto the device of the `VarStore` of `path`, and adds its parameters and
    /// buffers under `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is no TorchScript archive;
    /// [`Error::Device`] if the device does not exist; [`Error::Config`] if the `VarStore` has a variable
    /// of the same name, some of the others may have been added then.
    pub fn load<'a>(file: impl AsRef<Path>, path: impl Borrow<nn::Path<'a>>) -> Result<Self> {
        let (file, path) = (file.as_ref(), path.borrow());
        let what = format!("TorchScript module {}", file.display());
        let module = archive::read(&what, file, path.device(), ScriptModule::load)?;
        let mut known: Vec<usize> = Vec::new();
        for variable in module.variables()? {
            let (owner, name) = owner_of(path, &variable.name);
            if owner.get(name).is_some() {
                let found = "a variable of this name, made before";
                let hint =
                    "load the module under a path of its own, such as `vs.root() / \"audio\"`";
                let what = format!("variable {:?} of the {what}", variable.name);
                return Err(error::config(what, "a new name in the VarStore", found, hint));
            }
            let tensor = variable.tensor;
            let address = tensor.data_ptr() as usize;
            let is_new = address == 0 || !known.contains(&address);
            known.push(address);
            let learns = tensor.requires_grad();
            let is_parameter = variable.is_parameter && is_new && tensor.is_floating_point();
            let added = owner.add(name, tensor, is_parameter);
            let _ = added.f_set_requires_grad(learns)?; // `add` sets it for a frozen parameter
        }
        let state = Mutex::new(State { module, training: None });
        Ok(Self { shared: Arc::new(Shared { file: file.to_owned(), state }) })
    }

    /// The method called `name`, such as `forward`. In Python, other methods need `@torch.jit.export` (or
    /// `torch.jit.trace_module`).
    ///
    /// # Errors
    /// [`Error::Config`], with the names of the methods, if there is none.
    pub fn method(&self, name: &str) -> Result<Method> {
        match self.with(|state| state.module.method(name))? {
            Ok(signature) => Ok(Method { module: self.clone(), name: name.to_owned(), signature }),
            Err(methods) => Err(error::config(
                format!("TorchScript module {}", self.shared.file.display()),
                format!("a method {name:?}"),
                format!("the methods [{methods}]"),
                "mark it with `@torch.jit.export`, or pass it to `torch.jit.trace_module`",
            )),
        }
    }

    /// Atomically writes the module with its present parameters and buffers, in evaluation mode, as a
    /// TorchScript file that `torch.jit.load` reads. It has all methods of the original one.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Torch`] if the file cannot be written; a previous file is unchanged then.
    pub fn save(&self, file: impl AsRef<Path>) -> Result<()> {
        self.with(|state| {
            state.set_training(false)?;
            atomic::write(file.as_ref(), |path| state.module.save(path))
        })
    }

    fn with<T>(&self, run: impl FnOnce(&mut State) -> T) -> T {
        // The state is valid after a panic: the mode is set before every call.
        run(&mut self.shared.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn set_training(&mut self, training: bool) -> Result<()> {
        if self.training != Some(training) {
            self.training = None;
            self.module.set_training(training)?;
            self.training = Some(training);
        }
        Ok(())
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

/// The path and the name of a variable with a dotted name.
fn owner_of<'a, 'n>(path: &nn::Path<'a>, name: &'n str) -> (nn::Path<'a>, &'n str) {
    let mut parts = name.split('.');
    let name = parts.next_back().unwrap_or(name);
    (parts.fold(path.clone(), |path, part| path.sub(part)), name)
}

/// A method of a [`Module`].
#[derive(Debug)]
pub struct Method {
    module: Module,
    name: String,
    signature: Signature,
}

impl Method {
    /// Calls the method with `inputs`, in this order; a method of one argument of type `List[Tensor]`
    /// receives them as a list. `train` sets the whole module to training mode for this call, else to
    /// evaluation mode: it decides for batch norm and dropout, unless the module was traced, since a trace
    /// keeps the mode of its tracing.
    ///
    /// Connected to the graph of inputs and parameters, unless gradients are off.
    ///
    /// # Errors
    /// [`Error::Config`] for a number of inputs that the method does not take, and for a value that is no
    /// tensor; [`Error::Torch`], which names the method and the inputs' shapes, if the call fails.
    pub fn call(&self, inputs: &[impl Borrow<Tensor>], train: bool) -> Result<Tensor> {
        self.check_inputs(inputs.len())?;
        let inputs: Vec<&Tensor> = inputs.iter().map(Borrow::borrow).collect();
        let mut value = self.module.with(|state| {
            state.set_training(train)?;
            let value = state.module.call(&self.name, &inputs);
            value.map_err(|source| self.failed(&inputs, source))
        })?;
        match value.tensors.pop() {
            Some(tensor) if value.kind == "Tensor" => Ok(tensor),
            _ => {
                let what = format!("value of {self}");
                let hint = "return one tensor from the method";
                Err(error::config(
                    what,
                    "a tensor",
                    format!("a value of type {}", value.kind),
                    hint,
                ))
            }
        }
    }

    /// Refuses a number of inputs that the method does not take.
    pub(crate) fn check_inputs(&self, found: usize) -> Result<()> {
        let Signature { least, largest } = self.signature;
        if found >= least && largest.is_none_or(|largest| found <= largest) {
            return Ok(());
        }
        let expected = match largest {
            Some(largest) if largest == least => format!("{least}"),
            Some(largest) => format!("{least} to {largest}"),
            None => format!("{least} or more"),
        };
        let hint = "give the method an argument for each tensor, in the same order";
        Err(error::config(format!("number of inputs of {self}"), expected, found, hint))
    }

    fn failed(&self, inputs: &[&Tensor], source: TchError) -> Error {
        let describe = |t: &&Tensor| match t.f_kind() {
            Ok(kind) => format!("{:?} {kind:?}", t.size()),
            Err(_) => format!("{:?}", t.size()),
        };
        let inputs: Vec<_> = inputs.iter().map(describe).collect();
        // The cause first, which TorchScript puts last.
        let source = TchError::Torch(format!("{}\n{source}", error_cause(&source)));
        Error::torch(format!("run {self} on inputs {}", inputs.join(", ")), source)
    }
}

/// The method and its file.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "method {:?} of TorchScript module {}",
            self.name,
            self.module.shared.file.display()
        )
    }
}
