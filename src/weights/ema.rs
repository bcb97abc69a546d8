//! The exponential moving average of a model's weights.

use std::collections::HashSet;

use tch::{Device, Kind, TchError, Tensor, nn::VarStore};

use crate::error::{self, Error, Result};
use crate::parameters::{Stores, TensorCopies, Variables};

/// The names of PyTorch's AveragedModel in its `state_dict`.
const MODEL: &str = "module";
const COUNTER: &str = "n_averaged";

/// What an [`Ema`] does with buffers, such as the running statistics of batch norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EmaBuffers {
    /// They are copied from the model at each update, as by PyTorch's `AveragedModel`.
    #[default]
    Copy,
    /// Floating-point buffers are averaged like parameters, as with PyTorch's `use_buffers=True`; others
    /// are copied.
    Average,
}

/// The exponential moving average of the weights of a model: θ̄ ← d θ̄ + (1 − d) θ after every update of
/// the optimizer, with the decay d. The first update copies θ. As PyTorch's `AveragedModel` with
/// `get_ema_multi_avg_fn(d)`.
///
/// The averages are in a [`store`](Self::store) of their own, under the names of PyTorch's
/// `AveragedModel`: `module.fc.weight`, and `n_averaged` for the number of updates. So they are saved
/// and resumed like any weights, in a file or as a part of a snapshot, and
/// [`weights::load`](super::load) reads the file into the model.
///
/// # Example
/// ```
/// use g2d::weights::{self, Ema};
/// use tch::{Device, nn};
///
/// let mut vs = nn::VarStore::new(Device::Cpu);
/// let model = nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// let mut ema = Ema::new(&vs, 0.999)?.with_warmup();
/// for _ in 0..3 {
///     // trainer.step(&student, &batch)?; trainer.update(&mut optimizer)?;
///     ema.update()?;
/// }
/// {
///     let _averaged = ema.swap_in()?; // the model has the averages until this is dropped
///     // trainer.evaluate(&student, …)?
/// }
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("ema.safetensors");
/// weights::save(ema.store(), &path)?;
/// weights::load(&mut vs, &path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In a snapshot: `RunParts::new(&mut trainer).weights("ema", ema.store())`, beside the weights
/// of the model.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    warmup: bool,
    buffers: EmaBuffers,
    /// The variables of the model with their averages.
    pairs: Vec<Pair>,
    counter: Tensor,
    store: VarStore,
}

#[derive(Debug)]
struct Pair {
    model: Tensor,
    average: Tensor,
    is_parameter: bool,
}

impl Ema {
    /// The average of the variables of `stores`, `&vs` or several `VarStore`s with names, as for
    /// [`Optimizer::builder`](crate::optim::Optimizer::builder). Until the first update it has their
    /// present values.
    ///
    /// # Errors
    /// [`Error::Config`] for a decay outside [0, 1], without variables, and for two of one name; [`Error::Torch`] without
    /// memory.
    pub fn new(stores: impl Into<Stores>, decay: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&decay) {
            return Err(error::out_of_range("decay of an average of weights", "in [0, 1]", decay));
        }
        let variables = Variables::new(stores);
        let parameters = variables.parameters().map(|(name, tensor)| (name, tensor, true));
        let buffers = variables.buffers().map(|(name, tensor)| (name, tensor, false));
        let store = VarStore::new(Device::Cpu);
        let (mut pairs, mut names) = (Vec::new(), HashSet::new());
        for (name, model, is_parameter) in parameters.chain(buffers) {
            if !names.insert(name) {
                let hint = "give every VarStore a name of its own: `[(\"name\", &vs), …]`";
                let what = format!("average of {name:?}");
                return Err(error::config(what, "one variable of this name", "two", hint));
            }
            let mut path = store.root() / MODEL;
            let mut components: Vec<&str> = name.split('.').collect();
            let last = components.pop().unwrap_or_default();
            components.into_iter().for_each(|component| path = &path / component);
            let average = copy(model).map_err(|e| Error::torch(format!("copy {name:?}"), e))?;
            let average = path.add(last, average, false);
            pairs.push(Pair { model: model.shallow_clone(), average, is_parameter });
        }
        if pairs.is_empty() {
            let hint = "make the model before its average";
            return Err(error::config("average of weights", "variables", "none", hint));
        }
        let counter = Tensor::f_zeros([], (Kind::Int64, Device::Cpu));
        let counter = counter.map_err(|e| Error::torch("make a counter", e))?;
        let counter = store.root().add(COUNTER, counter, false);
        Ok(Self { decay, warmup: false, buffers: EmaBuffers::default(), pairs, counter, store })
    }

    /// Limits the decay of update t = 1, 2, … to (1 + t) / (10 + t), so that the average follows the
    /// model quickly at first.
    #[must_use]
    pub fn with_warmup(mut self) -> Self {
        self.warmup = true;
        self
    }

    /// Sets what happens to buffers; by default they are copied.
    #[must_use]
    pub fn with_buffers(mut self, buffers: EmaBuffers) -> Self {
        self.buffers = buffers;
        self
    }

    /// Moves the averages towards the model. Call it after every update of the optimizer. Does not
    /// synchronise with the device.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn update(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let t = self.updates();
        let decay = match t {
            0 => 0.0,
            _ if self.warmup => self.decay.min((1 + t) as f64 / (10 + t) as f64),
            _ => self.decay,
        };
        let weight = Tensor::from(1.0 - decay);
        let averages = self.buffers == EmaBuffers::Average;
        for Pair { model, average, is_parameter } in &mut self.pairs {
            let is_averaged = average.is_floating_point() && (*is_parameter || averages);
            let updated = if t == 0 || !is_averaged {
                average.f_copy_(model)
            } else {
                let step = model.f_sub(average).and_then(|difference| difference.f_mul(&weight));
                step.and_then(|step| average.f_add_(&step).map(|_| ()))
            };
            updated.map_err(|e| Error::torch("average weights", e))?;
        }
        let counted = self.counter.f_add_(&Tensor::from(1_i64));
        counted.map(|_| ()).map_err(|e| Error::torch("count averages", e))
    }

    /// Number of updates so far.
    pub fn updates(&self) -> u64 {
        // The counter is in host memory.
        u64::try_from(self.counter.int64_value(&[])).unwrap_or_default()
    }

    /// Gives the model the averages until the returned value is dropped or
    /// [`restore`](Averaged::restore)d. The model must not be trained in between.
    ///
    /// # Errors
    /// [`Error::Torch`] without memory for a copy of the model's own weights.
    pub fn swap_in(&self) -> Result<Averaged<'_>> {
        let own = TensorCopies::new(self.pairs.iter().map(|pair| pair.model.shallow_clone()))?;
        let averaged = Averaged { own: Some(own), _ema: self };
        let _no_grad = tch::no_grad_guard();
        for Pair { model, average, .. } in &self.pairs {
            let copied = model.shallow_clone().f_copy_(average);
            copied.map_err(|e| Error::torch("use averaged weights", e))?;
        }
        Ok(averaged)
    }

    /// The averages, for [`weights::save`](super::save).
    pub fn store(&self) -> &VarStore {
        &self.store
    }

    /// The averages, for [`weights::load`](super::load) and for snapshots.
    pub fn store_mut(&mut self) -> &mut VarStore {
        &mut self.store
    }
}

/// A copy in the same memory layout, without gradient.
fn copy(tensor: &Tensor) -> std::result::Result<Tensor, TchError> {
    let mut copy = tensor.f_detach()?.f_zeros_like()?;
    copy.f_copy_(&tensor.f_detach()?)?;
    Ok(copy)
}

/// The time in which a model has its averaged weights; see [`Ema::swap_in`].
#[derive(Debug)]
#[must_use = "the model has its own weights again as soon as this is dropped"]
pub struct Averaged<'a> {
    /// The model's own weights; `None` when they are restored.
    own: Option<TensorCopies>,
    _ema: &'a Ema,
}

impl Averaged<'_> {
    /// Restores the model's own weights, as dropping does, but returns an error.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn restore(mut self) -> Result<()> {
        self.own.take().map_or(Ok(()), |own| own.restore())
    }
}

impl Drop for Averaged<'_> {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            // A failed copy leaves nothing to be done here; `restore` returns the error.
            let _ = own.restore();
        }
    }
}
