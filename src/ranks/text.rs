//! A text that one rank gives all others.

use tch::{Device, Kind, Tensor};

use super::Collective;
use crate::error::{Error, Result};

/// The largest number of bytes; the rest of a longer text is cut off.
const LENGTH: usize = 4096;

/// The `text` of rank `root`, on every rank.
pub(super) fn share(group: &dyn Collective, root: usize, text: &str) -> Result<String> {
    let failed = |source| Error::torch("share a text with all ranks", source);
    let mut bytes = if group.rank() == root { text.as_bytes().to_vec() } else { Vec::new() };
    bytes.resize(LENGTH, 0);
    let tensor = Tensor::f_from_slice(&bytes).map_err(failed)?;
    debug_assert_eq!((tensor.kind(), tensor.device()), (Kind::Uint8, Device::Cpu));
    group.broadcast(&[tensor.shallow_clone()], root)?;
    let bytes = Vec::<u8>::try_from(tensor).map_err(failed)?;
    let length = bytes.iter().position(|&byte| byte == 0).unwrap_or(LENGTH);
    Ok(String::from_utf8_lossy(&bytes[..length]).trim_end_matches('\u{fffd}').to_owned())
}
