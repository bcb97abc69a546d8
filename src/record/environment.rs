//! What a run ran on.

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::libtorch;

/// What a run ran on, without the machine's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of this crate.
    pub g2d: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// The device, as `Cpu` or `Cuda(0)`.
    pub device: String,
    /// libtorch's threads within an operation.
    pub threads: i64,
    /// Operating system and processor architecture.
    pub system: String,
}

impl Environment {
    /// That of this process, training on `device`.
    pub fn here(device: Device) -> Self {
        Self {
            g2d: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: libtorch::version().to_owned(),
            device: format!("{device:?}"),
            threads: i64::from(tch::get_num_threads()),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}
