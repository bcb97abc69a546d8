//! Between host and device: the one place where numbers come back, and how tensors go there unwaited.

use std::cell::Cell;

use tch::{Device, Kind, Tensor};

use crate::{Error, Result, libtorch};

thread_local! {
    static DEVICE_READS: Cell<u64> = const { Cell::new(0) };
}

/// How often this thread has read numbers in a way that waits for the device, if the model is on one:
/// on the CPU it counts the same reads, so that a test there proves what a GPU would wait for.
pub fn device_reads() -> u64 {
    DEVICE_READS.get()
}

/// Reads scalar tensors in one transfer: one wait for the device, none on the CPU.
pub(crate) fn read_scalars(scalars: &[Tensor]) -> Result<Vec<f64>> {
    if !scalars.is_empty() {
        DEVICE_READS.set(DEVICE_READS.get() + 1);
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
