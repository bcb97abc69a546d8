//! Reading a TorchScript archive.

use std::{fs::File, io::Read, path::Path};

use tch::{Cuda, Device, TchError};

use super::cause::error_cause;
use crate::error::{self, Error, Result};
use crate::file::format::Format;

/// Loads the module at `path` onto `device` by `load`; `what` describes the module in errors.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is no TorchScript archive;
/// [`Error::Device`] if the device does not exist.
pub(crate) fn read<T>(
    what: &str,
    path: &Path,
    device: Device,
    load: impl FnOnce(&Path, Device) -> std::result::Result<T, TchError>,
) -> Result<T> {
    let devices = Cuda::device_count();
    if matches!(device, Device::Cuda(n) if n as i64 >= devices) {
        let expected = format!("one of {devices} CUDA devices, or a device of another type");
        let hint = "check that libtorch finds the GPU";
        return Err(error::device(what, expected, format!("{device:?}"), hint));
    }
    let mut magic = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut magic));
    read.map_err(|source| Error::io("read", path, source))?;
    let module = if magic == b"PK\x03\x04" {
        load(path, device).map_err(|e| error_cause(&e))
    } else {
        Err("bytes of another format".into())
    };
    let cause = match module {
        Ok(module) => return Ok(module),
        Err(cause) => cause,
    };
    let format = Format::from_file(path).map_err(|source| Error::io("read", path, source))?;
    let found = match format {
        None | Some(Format::TorchScript | Format::Zip) => cause.clone(),
        Some(format) => format.to_string(),
    };
    let hint = hint(format, &cause);
    Err(Error::data(path, "file", "a TorchScript archive", found, hint))
}

/// How to correct what was found.
fn hint(format: Option<Format>, cause: &str) -> &'static str {
    match format {
        Some(Format::TorchScript | Format::Zip) if cause.contains("failed reading zip archive") => {
            "the file is damaged: use a complete copy"
        }
        Some(Format::TorchScript) => "libtorch cannot load this module: see its message",
        Some(Format::Safetensors) => {
            "weights have no code: load them into the network in Rust with `weights::load`"
        }
        Some(Format::TorchSave | Format::LegacyTorchSave | Format::TorchExport) => {
            "`torch.save` and `torch.export` write other formats: write the module with \
             `torch.jit.trace(…)` or `torch.jit.script(…)` and `.save(…)`"
        }
        Some(Format::LfsPointer) => "fetch the file with `git lfs pull`",
        Some(Format::Html) => "a download has returned a web page: download the file itself",
        Some(Format::Empty | Format::IncompleteZip) => "use a complete copy of the file",
        _ => "write the module with `torch.jit.trace(…)` or `torch.jit.script(…)` and `.save(…)`",
    }
}
