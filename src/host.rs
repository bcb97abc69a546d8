//! The one place where numbers come back from the device.

use tch::{Device, Kind, Tensor};

use crate::{Error, Result};

/// Reads scalar tensors in one transfer: one wait for the device, none on the CPU.
pub(crate) fn read_scalars(scalars: &[Tensor]) -> Result<Vec<f64>> {
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
