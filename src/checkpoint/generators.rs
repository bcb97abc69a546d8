//! The states of libtorch's random number generators in a snapshot.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use tch::{Device, Tensor};

use crate::error::Result;
use crate::file::tensors::{self, TensorFile};
use crate::{libtorch, transfer};

/// The name of the file.
pub(super) const FILE: &str = "random.safetensors";

/// Writes the states of the generators that a run on `device` uses to the folder of a snapshot.
pub(super) fn save(device: Device, folder: &Path) -> Result<()> {
    let state = |device| Ok((name(device), libtorch::generator_state(device)?));
    let states = devices(device).map(state).collect::<Result<Vec<_>>>()?;
    let tensors = states.iter().map(|(name, state)| (name.to_owned(), state));
    tensors::write(&folder.join(FILE), tensors, [])
}

/// Reads the generators that a run on `device` uses, and their states.
pub(super) fn read(device: Device, folder: &Path) -> Result<Vec<(Device, Tensor)>> {
    let mut states = TensorFile::open(&folder.join(FILE))?.tensors()?;
    let state = |device| Some((device, states.remove(&name(device))?));
    Ok(devices(device).filter_map(state).collect())
}

/// Restores the states that [`read`] has returned, which are those of rank 0. Another rank continues with a
/// stream of its own, which depends on them and on its number.
pub(super) fn restore(states: &[(Device, Tensor)], rank: usize) -> Result<()> {
    if rank == 0 {
        return states
            .iter()
            .try_for_each(|(device, state)| libtorch::restore_generator(*device, state));
    }
    let mut hasher = DefaultHasher::new();
    rank.hash(&mut hasher);
    for (_, state) in states {
        transfer::bytes(state)?.hash(&mut hasher);
    }
    tch::manual_seed((hasher.finish() >> 1) as i64); // of all devices
    Ok(())
}

fn devices(device: Device) -> impl Iterator<Item = Device> {
    [Device::Cpu].into_iter().chain(device.is_cuda().then_some(device))
}

/// The name of a generator in the file, without index, so that a run can resume on another GPU.
fn name(device: Device) -> String {
    if device.is_cuda() { "cuda".into() } else { "cpu".into() }
}
