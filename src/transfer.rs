//! Transfers between host and device.
//!
//! Reading scalars synchronises with the device; sending tensors does not.

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::libtorch;

/// Reads scalar tensors in one transfer. Synchronises with the device and records that as a
/// `tracing` event of target `g2d::sync`.
pub(crate) fn read_scalars(scalars: &[Tensor]) -> Result<Vec<f64>> {
    record_read(scalars.len());
    read_on_host(scalars)
}

/// Records the read of a number of scalars as a `tracing` event of target `g2d::sync`.
pub(crate) fn record_read(scalars: usize) {
    if scalars > 0 {
        tracing::trace!(target: "g2d::sync", scalars, "reads scalars of a device");
    }
}

/// Reads scalar tensors that are in host memory even if the model is not, so without synchronising.
pub(crate) fn read_on_host(scalars: &[Tensor]) -> Result<Vec<f64>> {
    if scalars.iter().all(|scalar| scalar.device() == Device::Cpu) {
        return libtorch::numbers(scalars.iter());
    }
    let read = || {
        let widen = |t: &Tensor| t.f_detach()?.f_to_kind(wide_kind(t.device()));
        let scalars =
            scalars.iter().map(widen).collect::<std::result::Result<Vec<_>, TchError>>()?;
        let stacked = Tensor::f_stack(&scalars, 0)?;
        Vec::try_from(stacked.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?)
    };
    read().map_err(|source| Error::torch("read scalars from the device", source))
}

/// The index of the first tensor with a NaN or an infinity. Synchronises with the device.
pub(crate) fn first_non_finite(tensors: &[Tensor]) -> Result<Option<usize>> {
    let finite = tensors
        .iter()
        .map(|tensor| tensor.f_isfinite()?.f_all())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|source| Error::torch("look for a value that is not finite", source))?;
    Ok(read_scalars(&finite)?.iter().position(|&finite| finite == 0.0))
}

/// The first row of `tensor` [N, …] that holds NaN or an infinity. Synchronises with the device.
pub(crate) fn first_non_finite_row(tensor: &Tensor) -> Result<Option<i64>> {
    let rows = || {
        let finite = tensor.f_detach()?.f_isfinite()?;
        let finite =
            if tensor.dim() > 1 { finite.f_flatten(1, -1)?.f_all_dim(1, false)? } else { finite };
        let rows = finite.f_logical_not()?.f_nonzero()?.f_flatten(0, -1)?;
        Vec::<i64>::try_from(rows.f_to_device(Device::Cpu)?)
    };
    let rows = rows().map_err(|e| Error::torch("look for a value that is not finite", e))?;
    Ok(rows.first().copied())
}

/// The floating-point dtype of highest precision that `device` supports.
pub(crate) fn wide_kind(device: Device) -> Kind {
    if device == Device::Mps { Kind::Float } else { Kind::Double }
}

/// `tensor` in host memory, detached and contiguous. Synchronises with the device.
pub(crate) fn to_host(tensor: &Tensor) -> Result<Tensor> {
    let host = || tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous();
    host().map_err(|source| Error::torch("copy a tensor to the host", source))
}

/// The elements of `tensor` in order, as bytes. Synchronises with the device.
pub(crate) fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    let host = to_host(tensor)?;
    let copy = || {
        let mut bytes = vec![0; host.numel() * host.f_kind()?.elt_size_in_bytes()];
        host.f_copy_data_u8(&mut bytes, host.numel())?;
        Ok(bytes)
    };
    copy().map_err(|source| Error::torch("copy a tensor's bytes", source))
}

/// `tensor` on `device`. From the host to a GPU the copy goes through pinned memory, so that it
/// does not block until the device has finished earlier work.
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
