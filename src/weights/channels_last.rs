//! How images lie in memory.

use tch::{Tensor, nn::VarStore};

use crate::error::{Error, Result};

/// Lays the weights of all convolutions in `vs` out channels-last: of every variable with four or five
/// dimensions [O, I, …] the I numbers of a place stand side by side.
///
/// No value, shape or name changes; the weights alone decide in which layout libtorch convolves, so
/// inputs may stay as they are. On processors with oneDNN and on GPUs with tensor cores convolutions
/// and batch norm are faster this way (docs/performance.md).
///
/// Call it once, when the model is made or its weights are loaded and before trainer and optimizer
/// are built; loading, saving and `set_device` keep the layout. Handles on the variables follow.
///
/// # Errors
/// [`Error::Torch`] if libtorch runs out of memory.
///
/// # Example
/// ```
/// use tch::{Device, Kind, Tensor, nn, nn::Module};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let conv = nn::conv2d(vs.root() / "conv", 8, 16, 3, Default::default());
/// g2d::weights::channels_last(&vs)?;
/// assert_eq!(conv.ws.stride(), [72, 1, 24, 8]);
/// let maps = conv.forward(&Tensor::ones([2, 8, 12, 12], (Kind::Float, Device::Cpu)));
/// assert_eq!(maps.stride(), [1600, 1, 160, 16]); // so are the layer's outputs
/// # g2d::Result::Ok(())
/// ```
pub fn channels_last(vs: &VarStore) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    for (name, mut variable) in vs.variables() {
        if !matches!(variable.dim(), 4 | 5) {
            continue;
        }
        rearranged(&variable)
            .and_then(|data| variable.f_set_data(&data))
            .map_err(|source| Error::torch(format!("lay {name:?} out channels-last"), source))?;
    }
    Ok(())
}

/// The same numbers, channels-last.
fn rearranged(tensor: &Tensor) -> std::result::Result<Tensor, tch::TchError> {
    let size = tensor.size();
    let spatial = 2..size.len() as i64;
    let order: Vec<i64> = [0].into_iter().chain(spatial).chain([1]).collect();
    let data = tensor.f_detach()?.f_permute(&order)?.f_contiguous()?;
    // Strides of a dimension of size 1 are free, and libtorch takes free ones for channels-first.
    let mut stride = vec![0; size.len()];
    let mut step = 1;
    for d in order.iter().rev().map(|&d| d as usize) {
        stride[d] = step;
        step *= size[d];
    }
    data.f_as_strided(&size, &stride, None::<i64>)
}
