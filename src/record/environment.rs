//! The software and hardware of a run.

use serde::{Deserialize, Serialize};
use tch::Device;

use crate::libtorch;

/// The software and hardware of a run, without the name of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of this crate.
    pub g2d: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// The device, such as `Cpu` or `Cuda(0)`.
    pub device: String,
    /// Number of intra-op threads of libtorch.
    pub threads: i64,
    /// Operating system and processor architecture.
    pub system: String,
}

impl Environment {
    /// The environment of this process when training on `device`.
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
