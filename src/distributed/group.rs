//! The connected ranks and their collective operations.

use std::{cell::RefCell, fmt, rc::Rc, sync::mpsc, thread, time::Duration};

use tch::{Device, Tensor};

use super::{Launch, address, layers::LayerConnections};
#[cfg(doc)]
use crate::error::Error;
use crate::error::{self, Result};
use crate::libtorch::{GroupArgs, Listen, RawGroup, RawReducer, Store};
use crate::ranks::{Collective, Reducer};

/// What reduces tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// Gloo, for tensors of the host.
    #[default]
    Gloo,
    /// NCCL for tensors of CUDA devices, one device per rank, and Gloo for those of the host. It is found in
    /// libtorch at run time: a libtorch for the CPU has none.
    Nccl,
}

/// How a group is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// What reduces tensors; Gloo by default.
    pub backend: Backend,
    /// How long a rank waits for the others, to connect and in each operation, before it is an error; 10
    /// minutes by default. It must be longer than what one rank does alone between two steps, such as an
    /// evaluation on rank 0. NCCL has its own rules: docs/distributed.md.
    pub timeout: Duration,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self { backend: Backend::Gloo, timeout: Duration::from_secs(600) }
    }
}

/// How [`ProcessGroup::all_reduce`] combines the values of all ranks, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum. A NaN on one rank is NaN on all.
    Sum = 0,
    /// Their mean.
    Mean = 1,
    /// The smallest. A NaN on one rank may be lost.
    Min = 2,
    /// The largest. A NaN on one rank may be lost.
    Max = 3,
}

/// A group of connected ranks, seen from one of them. Clones are the same group.
///
/// Every operation is collective: all ranks call it, in the same order and with tensors of the same shape and
/// dtype. Ranks that do not may abort the process or compute a wrong sum; a trainer with the group checks its
/// own calls. After an error the connections of the rank are closed: all its later operations are errors, and
/// the other ranks receive errors, too.
#[derive(Clone)]
pub struct ProcessGroup(Rc<Connection>);

struct Connection {
    rank: usize,
    size: usize,
    config: GroupConfig,
    /// The raw group, or why it was closed.
    state: RefCell<std::result::Result<Rc<RawGroup>, String>>,
    /// Those of layers that reduce.
    layers: LayerConnections,
    meeting: Meeting,
}

/// Where the ranks meet.
struct Meeting {
    /// On rank 0 the store itself, which the others may still read.
    store: Store,
    /// The prefix of the keys in the store.
    prefix: String,
    listen: Listen,
}

impl ProcessGroup {
    /// Connects the rank that [`Launch::from_env`] describes.
    ///
    /// # Errors
    /// As `from_env` and [`new`](Self::new).
    pub fn from_env(config: &GroupConfig) -> Result<Self> {
        Self::new(&Launch::from_env()?, config)
    }

    /// Connects a rank to all others and returns when all have come. Gloo listens on the interface that the
    /// variable `GLOO_SOCKET_IFNAME` names, else at the address from which this host reaches `launch.host`.
    ///
    /// # Errors
    /// [`Error::Config`] for numbers out of range; [`Error::Torch`] if a rank does not come within the timeout
    /// (twice the timeout where it is rank 0), if the port is taken, if two ranks have the same number, and
    /// for [`Backend::Nccl`] where libtorch has no NCCL or the host no CUDA device.
    pub fn new(launch: &Launch, config: &GroupConfig) -> Result<Self> {
        launch.check()?;
        check_timeout(config)?;
        let Launch { rank, ranks, host, port, .. } = launch;
        let is_server = *rank == 0 && !launch.store_of_agent;
        let waited_for = if launch.store_of_agent { 0 } else { *ranks };
        let (store, port) = match is_server {
            true => Store::tcp(host, *port, true, waited_for, config.timeout)?,
            false => reach_store(host, *port, waited_for, config.timeout)?,
        };
        let prefix = format!("g2d/{}", launch.restart);
        let listen = address::listen(host, port);
        Self::connect(Meeting { store, prefix, listen }, *rank, *ranks, config)
    }

    /// Connects a rank of threads, which meet in `store`.
    pub(super) fn in_process(
        store: Store,
        rank: usize,
        size: usize,
        config: &GroupConfig,
    ) -> Result<Self> {
        check_timeout(config)?;
        let (prefix, listen) = ("g2d".to_owned(), Listen::Address("127.0.0.1".to_owned()));
        Self::connect(Meeting { store, prefix, listen }, rank, size, config)
    }

    fn connect(meeting: Meeting, rank: usize, size: usize, config: &GroupConfig) -> Result<Self> {
        let raw = meeting.connect(&meeting.prefix, rank, size, config)?;
        tracing::debug!(rank, size, listen = ?meeting.listen, "connected to all ranks");
        let state = RefCell::new(Ok(Rc::new(raw)));
        let (config, layers) = (config.clone(), LayerConnections::default());
        Ok(Self(Rc::new(Connection { rank, size, config, state, layers, meeting })))
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.0.rank
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// Whether this is rank 0, which writes snapshots and records.
    pub fn is_first(&self) -> bool {
        self.0.rank == 0
    }

    /// Combines `tensor` with those of all ranks, in place: afterwards it has the same elements on all of
    /// them.
    ///
    /// # Errors
    /// [`Error::Device`] for a tensor that the backend cannot reduce; [`Error::Torch`] if another rank has
    /// failed or does not call it within the timeout.
    pub fn all_reduce(&self, tensor: &Tensor, reduction: Reduction) -> Result<()> {
        self.check_device(tensor)?;
        self.0.run(|raw| raw.all_reduce(tensor, reduction as i32))
    }

    /// Copies the contents of `tensors` on rank `root` to those of all ranks.
    ///
    /// # Errors
    /// As [`all_reduce`](Self::all_reduce); [`Error::Config`] for a `root` that is not a rank.
    pub fn broadcast(&self, tensors: &[Tensor], root: usize) -> Result<()> {
        if root >= self.size() {
            let expected = format!("a rank below {}", self.size());
            return Err(error::out_of_range("root of a broadcast", expected, root));
        }
        tensors.iter().try_for_each(|tensor| self.check_device(tensor))?;
        self.0.run(|raw| raw.broadcast(tensors, root))
    }

    /// Waits until all ranks call it.
    ///
    /// # Errors
    /// [`Error::Torch`] if a rank does not call it within the timeout. On rank 0 the message names these
    /// ranks.
    pub fn barrier(&self) -> Result<()> {
        self.0.run(|raw| raw.barrier(self.0.config.timeout))
    }

    /// The sum of `tensor` over all ranks, as a part of the graph, for layers. Collective, in backward, too.
    pub(super) fn sum_in_graph(&self, tensor: &Tensor) -> Result<Tensor> {
        let Connection { rank, size, config, layers, meeting, .. } = &*self.0;
        self.0.raw()?; // refuses a group that is closed
        layers.sum(tensor, |name| {
            meeting.connect(&format!("{}/{name}", meeting.prefix), *rank, *size, config)
        })
    }

    pub(super) fn layers(&self) -> &LayerConnections {
        &self.0.layers
    }

    pub(crate) fn collective(&self) -> Rc<dyn Collective> {
        Rc::clone(&self.0) as Rc<dyn Collective>
    }

    fn check_device(&self, tensor: &Tensor) -> Result<()> {
        match (tensor.device(), self.0.config.backend) {
            (Device::Cpu, _) | (Device::Cuda(_), Backend::Nccl) => Ok(()),
            (found, backend) => {
                let what = "tensor that all ranks reduce or copy";
                let expected = format!("one that {backend:?} supports");
                let hint = "use `Backend::Nccl` for CUDA devices; no backend supports others";
                Err(error::device(what, expected, format!("one on {found:?}"), hint))
            }
        }
    }
}

impl Meeting {
    /// Connects a rank to all others, who meet under `prefix`.
    fn connect(
        &self,
        prefix: &str,
        rank: usize,
        size: usize,
        config: &GroupConfig,
    ) -> Result<RawGroup> {
        let Self { store, listen, .. } = self;
        let (timeout, nccl) = (config.timeout, config.backend == Backend::Nccl);
        RawGroup::new(&GroupArgs { store, prefix, rank, size, timeout, listen, nccl })
    }
}

impl Connection {
    /// Runs an operation on the raw group, and closes it after an error.
    fn run<T>(&self, operation: impl FnOnce(&RawGroup) -> Result<T>) -> Result<T> {
        let raw = self.raw()?;
        let done = operation(&raw);
        drop(raw);
        done.inspect_err(|error| self.close(&error.to_string()))
    }

    fn raw(&self) -> Result<Rc<RawGroup>> {
        match &*self.state.borrow() {
            Ok(raw) => Ok(Rc::clone(raw)),
            Err(cause) => Err(error::config(
                format!("process group of rank {}", self.rank),
                "an open one",
                format!("one that was closed after an error: {cause}"),
                "start all ranks again, and resume from the last snapshot",
            )),
        }
    }
}

impl Collective for Connection {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum(&self, tensor: &Tensor) -> Result<()> {
        self.run(|raw| raw.all_reduce(tensor, Reduction::Sum as i32))
    }

    fn broadcast(&self, tensors: &[Tensor], root: usize) -> Result<()> {
        self.run(|raw| raw.broadcast(tensors, root))
    }

    fn reducer(&self, parameters: &[&Tensor]) -> Result<Box<dyn Reducer>> {
        Ok(Box::new(RawReducer::new(self.raw()?, parameters)?))
    }

    fn is_used_by_layers(&self) -> bool {
        self.layers.is_used()
    }

    fn close_layers(&self) {
        self.layers.close();
    }

    fn close(&self, cause: &str) {
        self.layers.close();
        let open = self.state.borrow().is_ok();
        if open {
            drop(self.state.replace(Err(cause.to_owned())));
        }
    }
}

impl Reducer for RawReducer {
    fn reset(&self) -> Result<()> {
        Self::reset(self)
    }

    fn prepare(&self, loss: &Tensor) -> Result<()> {
        Self::prepare(self, loss)
    }

    fn check_finished(&self) -> Result<()> {
        Self::check_finished(self)
    }
}

/// A client of the store at `host` and `port`. libtorch waits without end for the first answer of whatever
/// listens there, so it does so on a thread, which is left behind if no store answers.
fn reach_store(host: &str, port: u16, ranks: usize, timeout: Duration) -> Result<(Store, u16)> {
    let (sender, receiver) = mpsc::channel();
    let own = host.to_owned();
    thread::spawn(move || {
        // No receiver is left after the timeout.
        let _ = sender.send(Store::tcp(&own, port, false, ranks, timeout));
    });
    // libtorch takes up to one timeout for the connection. It may then try for another one, and has no limit
    // for the first answer.
    receiver.recv_timeout(timeout * 2 + Duration::from_secs(1)).unwrap_or_else(|_| {
        Err(error::config(
            format!("store of rank 0 at {host}:{port}"),
            format!("an answer within {timeout:?}"),
            "none",
            "start rank 0, and check that MASTER_ADDR and MASTER_PORT are its address",
        ))
    })
}

fn check_timeout(config: &GroupConfig) -> Result<()> {
    match config.timeout.as_millis() {
        0 => Err(error::out_of_range("timeout of a process group", "at least 1 ms", "less")),
        _ => Ok(()),
    }
}

impl fmt::Debug for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessGroup")
            .field("rank", &self.0.rank)
            .field("size", &self.0.size)
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
