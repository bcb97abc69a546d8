//! A teacher whose outputs are in several caches.

use tch::Tensor;

use super::{Cached, cached::unknown_ids, outputs};
use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::modality::Modality;
use crate::teacher::{HostCopy, Teacher, TeacherOutput};
use crate::transfer;

/// The recorded outputs of one teacher in several caches, of which each has other samples.
///
/// With several ranks each records a part of the data set, at the same time, and all open the files of all ranks:
/// the recording takes the time of one part, and the pages of mapped files are shared by the ranks of a host. Give
/// the identity of each file a [`view`](super::Identity::view) that names its part, so that a file in the wrong
/// place is refused. Where the ranks have samples of their own, whatever the epoch, each needs a [`Cached`] of
/// these alone.
///
/// # Example
/// ```no_run
/// # #[cfg(feature = "distributed")]
/// # mod example {
/// use g2d::{
///     Batch, Result, Teacher, data::{BatchOrder, InMemory}, distributed::ProcessGroup,
///     teacher::cache::{Identity, OutputFile, Shards},
/// };
/// use tch::Device;
///
/// fn shards(
///     teacher: &dyn Teacher, identity: &Identity, data: &InMemory, group: &ProcessGroup,
/// ) -> Result<Shards> {
///     let file = |rank: usize| {
///         let identity = identity.clone().view(format!("part {rank} of {}", group.size()));
///         OutputFile::new(format!("cache/audio.{rank}.safetensors"), identity)
///     };
///     let batches = data.batches(&BatchOrder::stored(256), 0, Device::Cpu);
///     let own = batches.skip(group.rank()).step_by(group.size());
///     file(group.rank()).record(teacher, 0, own)?;
///     group.barrier()?;
///     Shards::new((0..group.size()).map(|rank| file(rank).open(Device::Cpu)))
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Shards {
    /// At least one; no id is in two.
    shards: Vec<Cached>,
}

impl Shards {
    /// Joins caches of one teacher.
    ///
    /// # Errors
    /// Any error of a cache; [`Error::Cache`] without one, for caches of different modalities or whose outputs
    /// have different shapes, dtypes or devices, and for a sample that two of them have.
    pub fn new(shards: impl IntoIterator<Item = Result<Cached>>) -> Result<Self> {
        let shards = shards.into_iter().collect::<Result<Vec<_>>>()?;
        let hint = "join the caches of one teacher and one data set";
        let refuse = |expected: &str, found: String| {
            Err(error::cache("shards of a teacher cache", expected, found, hint))
        };
        let Some((first, others)) = shards.split_first() else {
            return refuse("at least one", "none".to_owned());
        };
        for (i, other) in others.iter().enumerate() {
            if other.form() != first.form() {
                let found =
                    format!("{} in shard {}, {} in shard 0", other.form(), i + 1, first.form());
                return refuse("outputs of one modality, form and device", found);
            }
        }
        for (i, shard) in shards.iter().enumerate() {
            for (j, other) in shards.iter().enumerate().skip(i + 1) {
                if let Some(id) = shard.shared_id(other) {
                    return refuse(
                        "every sample once",
                        format!("id {id} in the shards {i} and {j}"),
                    );
                }
            }
        }
        Ok(Self { shards })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.shards.iter().map(Cached::len).sum()
    }

    /// Returns whether there are no samples; never true, since an empty cache cannot be recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Teacher for Shards {
    fn modality(&self) -> &Modality {
        self.shards[0].modality()
    }

    fn output(&self, _m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let what = format!("teacher {:?}", self.modality());
        let ids = outputs::sample_ids(batch, &what)?;
        // The rows of each shard, and their places in the batch.
        let mut found = vec![(Vec::new(), Vec::new()); self.shards.len()];
        let mut unknown = Vec::new();
        for (place, &id) in (0_i64..).zip(ids) {
            let mut shards = self.shards.iter().zip(&mut found);
            match shards.find_map(|(shard, found)| Some((shard.row(id)?, found))) {
                Some((row, (rows, places))) => {
                    rows.push(row);
                    places.push(place);
                }
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            return Err(unknown_ids(&what, self.len(), &unknown));
        }
        let each = self.shards.iter().zip(&found).filter(|(_, (rows, _))| !rows.is_empty());
        let parts =
            each.map(|(shard, (rows, _))| shard.outputs(rows)).collect::<Result<Vec<_>>>()?;
        let places: Vec<i64> = found.into_iter().flat_map(|(_, places)| places).collect();
        in_order(&parts, &places)
    }
}

/// The rows of `parts`, one after the other, moved to their `places`.
fn in_order(parts: &[TeacherOutput], places: &[i64]) -> Result<TeacherOutput> {
    let mut order: Vec<i64> = (0..places.len() as i64).collect();
    order.sort_unstable_by_key(|&row| places[row as usize]);
    let order = Tensor::from_slice(&order);
    let joined = |parts: Vec<&Tensor>| {
        let joined = Tensor::f_cat(&parts, 0).map_err(failed)?;
        let order = transfer::send(&order, joined.device())?;
        joined.f_index_select(0, &order).map_err(failed)
    };
    let host = |of: fn(&HostCopy) -> &Tensor| {
        joined(parts.iter().filter_map(|part| part.host.as_ref().map(of)).collect())
    };
    Ok(TeacherOutput {
        features: joined(parts.iter().map(|part| &part.features).collect())?,
        logits: joined(parts.iter().map(|part| &part.logits).collect())?,
        host: Some(HostCopy {
            logits: host(|host| &host.logits)?,
            targets: host(|host| &host.targets)?,
        }),
    })
}

fn failed(source: tch::TchError) -> Error {
    Error::torch("join the rows of shards", source)
}
