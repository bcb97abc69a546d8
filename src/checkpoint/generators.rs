//! The states of libtorch's random number generators in a snapshot.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use tch::{Device, Tensor};

use crate::error::Result;
use crate::file::tensors::{self, TensorFile};
use crate::{libtorch, transfer};

/// The name of the file.
pub(super) const FILE: &str = "random.safetensors";

/// The states of the generators that a run on `device` uses, in the order of [`devices`].
pub(super) fn own(device: Device) -> Result<Vec<Tensor>> {
    devices(device).map(libtorch::generator_state).collect()
}

/// Writes the states of the generators of all ranks to the folder of a snapshot: for each of [`devices`], one per
/// rank.
pub(super) fn save(device: Device, states: &[Vec<Tensor>], folder: &Path) -> Result<()> {
    let named = devices(device).zip(states).flat_map(|(device, ranks)| {
        ranks.iter().enumerate().map(move |(rank, state)| (name(device, rank), state))
    });
    tensors::write(&folder.join(FILE), named, [])
}

/// What a rank continues with.
pub(super) enum Streams {
    /// Its own streams.
    Own(Vec<(Device, Tensor)>),
    /// Streams of this seed: the snapshot has none of this rank.
    Seeded(i64),
}

impl Streams {
    /// Reads what the snapshot in `folder` has of `rank` in a run on `device`. Where it has fewer ranks, the seed
    /// depends on the states of rank 0 and on the number of the rank.
    pub(super) fn read(device: Device, folder: &Path, rank: usize) -> Result<Self> {
        let states = TensorFile::open(&folder.join(FILE))?.tensors()?;
        let own = of_rank(&states, device, rank);
        if rank == 0 || !own.is_empty() {
            return Ok(Self::Own(own));
        }
        let mut hasher = DefaultHasher::new();
        rank.hash(&mut hasher);
        for (_, state) in of_rank(&states, device, 0) {
            transfer::bytes(&state)?.hash(&mut hasher);
        }
        Ok(Self::Seeded((hasher.finish() >> 1) as i64))
    }

    /// Makes the generators continue.
    pub(super) fn restore(&self) -> Result<()> {
        match self {
            Self::Own(states) => states
                .iter()
                .try_for_each(|(device, state)| libtorch::restore_generator(*device, state)),
            Self::Seeded(seed) => {
                tch::manual_seed(*seed); // of all devices
                Ok(())
            }
        }
    }
}

fn of_rank(
    states: &BTreeMap<String, Tensor>,
    device: Device,
    rank: usize,
) -> Vec<(Device, Tensor)> {
    let state = |device| Some((device, states.get(&name(device, rank))?.shallow_clone()));
    devices(device).filter_map(state).collect()
}

fn devices(device: Device) -> impl Iterator<Item = Device> {
    [Device::Cpu].into_iter().chain(device.is_cuda().then_some(device))
}

/// The name of a generator in the file, without the index of a device, so that a run can resume on another GPU.
fn name(device: Device, rank: usize) -> String {
    let device = if device.is_cuda() { "cuda" } else { "cpu" };
    if rank == 0 { device.into() } else { format!("{device}.rank{rank}") }
}
