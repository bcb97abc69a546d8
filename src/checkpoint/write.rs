//! One snapshot, out.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use tch::{Device, Tensor};

use super::{
    RunParts,
    manifest::{Entry, MANIFEST, Manifest, RANDOM},
};
use crate::{
    error::{Error, Result},
    file::{Digest, atomic, tensors},
    libtorch,
    state::State,
    weights,
};

/// Writes a snapshot of `parts` to `place`, whole or not at all.
///
/// # Errors
/// Of the trainer, for an open window or a loss that is not finite; [`Error::Io`] if the disk refuses:
/// nothing is left at `place` then.
pub(super) fn write(
    place: &Path,
    parts: &mut RunParts<'_>,
    caller: State,
    score: Option<f64>,
) -> Result<()> {
    let (weights, optimizers) = parts.files()?;
    let mut manifest = Manifest::new(parts.trainer.state()?, caller, score);
    let unfinished = atomic::beside(place);
    let finish = || {
        fs::create_dir(&unfinished).map_err(|e| Error::io("create", &unfinished, e))?;
        for (file, (_, vs)) in weights.iter().zip(&parts.weights) {
            weights::save(vs, unfinished.join(file))?;
        }
        for (file, (_, optimizer)) in optimizers.iter().zip(&parts.optimizers) {
            optimizer.save(unfinished.join(file))?;
        }
        random(parts.trainer.device(), &unfinished.join(RANDOM))?;
        for name in weights.iter().chain(&optimizers).map(String::as_str).chain([RANDOM]) {
            let path = unfinished.join(name);
            let bytes = fs::metadata(&path).map_err(|e| Error::io("read", &path, e))?.len();
            let sha256 = Digest::from_file(&path)?;
            manifest.files.push(Entry { name: name.to_owned(), bytes, sha256 });
        }
        (manifest.weights, manifest.optimizers) = (weights, optimizers);
        let path = unfinished.join(MANIFEST);
        let seal = || {
            let text = manifest.seal()?;
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        seal().map_err(|e| Error::io("write", &path, e))?;
        atomic::flush_folder(&path)?;
        fs::rename(&unfinished, place).map_err(|e| Error::io("create", place, e))?;
        atomic::flush_folder(place)
    };
    finish().inspect_err(|_| {
        let _ = fs::remove_dir_all(&unfinished);
    })
}

/// The states of the random generators that a run on `device` draws from.
fn random(device: Device, path: &Path) -> Result<()> {
    let mut named: Vec<(String, Tensor)> = Vec::new();
    for device in generators(device) {
        named.push((name(device), libtorch::generator_state(device)?));
    }
    let named: Vec<_> = named.iter().map(|(name, state)| (name.clone(), state)).collect();
    tensors::write(path, &named, [])
}

/// The generators that a run on `device` draws from.
pub(super) fn generators(device: Device) -> Vec<Device> {
    let mut all = vec![Device::Cpu];
    all.extend(device.is_cuda().then_some(device));
    all
}

/// A generator's name in the file: that of its kind of device, so that a run may go on on another.
pub(super) fn name(device: Device) -> String {
    if device.is_cuda() { "cuda".into() } else { "cpu".into() }
}
