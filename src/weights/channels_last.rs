//! The memory layout of convolutions.

use tch::{TchError, Tensor, nn::VarStore};

use crate::error::{Error, Result};

/// Changes the memory layout of the weights of all convolutions in `vs` to channels-last
/// (`torch.channels_last`): the layout of every variable with four or five dimensions [O, I, …].
///
/// Values, shapes and names do not change. libtorch convolves in the layout of the weights, so
/// inputs need no conversion. Convolutions and batch norm are faster in this layout on CPUs with
/// oneDNN and on GPUs with tensor cores (docs/performance.md).
///
/// Call it once, after the model is made and before the trainer and the optimizer are built.
/// Loading, saving and `VarStore::set_device` keep the layout.
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
/// assert_eq!(maps.stride(), [1600, 1, 160, 16]); // channels-last, too
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
            .map_err(|source| Error::torch(format!("change the layout of {name:?}"), source))?;
    }
    Ok(())
}

/// A copy of `tensor` in channels-last layout.
fn rearranged(tensor: &Tensor) -> std::result::Result<Tensor, TchError> {
    let size = tensor.size();
    let spatial = 2..size.len() as i64;
    let order: Vec<i64> = [0].into_iter().chain(spatial).chain([1]).collect();
    let data = tensor.f_detach()?.f_permute(&order)?.f_contiguous()?;
    // A dimension of size 1 may have any stride, but libtorch recognises the layout by all strides.
    let mut stride = vec![0; size.len()];
    let mut step = 1;
    for d in order.iter().rev().map(|&d| d as usize) {
        stride[d] = step;
        step *= size[d];
    }
    data.f_as_strided(&size, &stride, None::<i64>)
}
