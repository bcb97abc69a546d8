//! Between host and device: the one place where numbers come back, and how tensors go there unwaited.

use tch::{Device, Kind, Tensor};

use crate::{
    error::{Error, Result},
    libtorch,
};

/// Reads scalar tensors in one host: one wait for the device, none on the CPU.
pub(crate) fn read_scalars(scalars: &[Tensor]) -> Result<Vec<f64>> {
    if !scalars.is_empty() {
        tracing::trace!(target: "g2d::sync", scalars = scalars.len(), "reads scalars of a device");
    }
    read_on_host(scalars)
}

/// Reads scalar tensors that are in host memory wherever the model is: never a wait.
pub(crate) fn read_on_host(scalars: &[Tensor]) -> Result<Vec<f64>> {
    if scalars.is_empty() {
        return Ok(Vec::new());
    }
    let wide = |t: &Tensor| t.f_detach()?.f_to_kind(wide_kind(t.device()));
    let joined = scalars
        .iter()
        .map(wide)
        .collect::<std::result::Result<Vec<_>, _>>()
        .and_then(|scalars| Tensor::f_stack(&scalars, 0))
        .and_then(|stacked| stacked.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double))
        .and_then(Vec::<f64>::try_from);
    joined.map_err(|source| Error::torch("read scalars from the device", source))
}

/// The index of the first tensor that holds a value that is NaN or infinite. Synchronises with the
/// device.
pub(crate) fn first_non_finite(tensors: &[Tensor]) -> Result<Option<usize>> {
    let finite = tensors
        .iter()
        .map(|tensor| tensor.f_isfinite()?.f_all())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|source| Error::torch("look for a value that is not finite", source))?;
    Ok(read_scalars(&finite)?.iter().position(|&finite| finite == 0.0))
}

/// The widest float kind that `device` computes in.
pub(crate) fn wide_kind(device: Device) -> Kind {
    if device == Device::Mps { Kind::Float } else { Kind::Double }
}

/// The elements of `tensor` in order, as bytes: a wait for the device, none on the CPU.
pub(crate) fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let copy = || {
        let host = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0; host.numel() * host.f_kind()?.elt_size_in_bytes()];
        host.f_copy_data_u8(&mut bytes, host.numel())?;
        Ok(bytes)
    };
    copy().map_err(|source| Error::torch("copy a tensor's bytes to the host", source))
}

/// `tensor` on `device`; one that goes from the host to a GPU goes by pinned memory, so that nothing
/// waits.
pub(crate) fn send(tensor: &Tensor, device: Device) -> Result<Tensor> {
    if tensor.device() == device {
        return Ok(tensor.shallow_clone());
    }
    let sent = if tensor.device() == Device::Cpu && device.is_cuda() {
        libtorch::pin(tensor)?.f_to_device_(device, tensor.kind(), true, false)
    } else {
        tensor.f_to_device(device)
    };
    sent.map_err(|source| Error::torch(format!("copy a tensor to {device:?}"), source))
}
