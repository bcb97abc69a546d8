//! The number of a rank and where the ranks meet.

use std::{env, str::FromStr};

use crate::error::{self, Result};

/// The number of this rank and where the ranks meet.
///
/// # Example
/// ```
/// use g2d::distributed::Launch;
///
/// let launch = Launch { rank: 1, ranks: 4, host: "node0".into(), ..Launch::default() };
/// assert_eq!(launch.port, 29500);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The number of this rank, from 0.
    pub rank: usize,
    /// The number of ranks.
    pub ranks: usize,
    /// The number of this rank among those of its host: the index of its device.
    pub local_rank: usize,
    /// The name or address of the host of rank 0.
    pub host: String,
    /// The port at which the ranks meet on that host.
    pub port: u16,
    /// How often the launcher has restarted the ranks. Ranks of different starts do not meet.
    pub restart: u64,
    /// Whether the launcher keeps the store in which the ranks meet, rather than rank 0.
    pub store_of_agent: bool,
}

impl Default for Launch {
    /// One rank on this host, at PyTorch's default port.
    fn default() -> Self {
        Self {
            rank: 0,
            ranks: 1,
            local_rank: 0,
            host: "127.0.0.1".to_owned(),
            port: 29500,
            restart: 0,
            store_of_agent: false,
        }
    }
}

/// The variables of a launcher: rank, number of ranks, local rank.
const LAUNCHERS: [(&str, [&str; 3]); 3] = [
    ("torchrun", ["RANK", "WORLD_SIZE", "LOCAL_RANK"]),
    ("mpirun", ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"]),
    ("srun", ["SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"]),
];

impl Launch {
    /// Reads the environment of a launcher: the first of
    ///
    /// | launcher | rank | ranks | local rank |
    /// |---|---|---|---|
    /// | `torchrun`, or by hand | `RANK` | `WORLD_SIZE` | `LOCAL_RANK` |
    /// | `mpirun` (Open MPI) | `OMPI_COMM_WORLD_RANK` | `OMPI_COMM_WORLD_SIZE` | `OMPI_COMM_WORLD_LOCAL_RANK` |
    /// | `srun` (Slurm) | `SLURM_PROCID` | `SLURM_STEP_NUM_TASKS` | `SLURM_LOCALID` |
    ///
    /// The ranks meet at `MASTER_ADDR` and `MASTER_PORT`, which `torchrun` sets, and which the others leave
    /// to the user; without a port it is 29500. `TORCHELASTIC_RESTART_COUNT` and
    /// `TORCHELASTIC_USE_AGENT_STORE` are `torchrun`'s.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), which names the variable, if one is missing or is not a
    /// number; in a batch script of Slurm whose program was not started by `srun`, where each copy would
    /// take itself for rank 0; and for a rank that is not below the number of ranks.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), with the variables that `get` returns.
    ///
    /// # Errors
    /// As `from_env`.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let launcher = LAUNCHERS.iter().find(|(_, [rank, ..])| get(rank).is_some());
        let Some((name, [rank, ranks, local_rank])) = launcher else {
            return Err(error::config(
                "rank of this process",
                "the environment of a launcher: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT",
                "none of its variables",
                "start the program by torchrun, mpirun or srun, or set these variables",
            ));
        };
        if *name == "srun" && get(ranks).is_none() {
            return Err(error::config(
                format!("variable {ranks}"),
                "the number of tasks of a job step",
                "none, as in a batch script outside of `srun`",
                "start the program by `srun`, or set RANK and WORLD_SIZE",
            ));
        }
        let default = Self::default();
        let ranks = number(&get, ranks)?.ok_or_else(|| missing(ranks))?;
        let launch = Self {
            rank: number(&get, rank)?.ok_or_else(|| missing(rank))?,
            ranks,
            local_rank: number(&get, local_rank)?.unwrap_or_default(),
            host: match get("MASTER_ADDR") {
                Some(host) => host,
                None if ranks == 1 => default.host,
                None => return Err(missing("MASTER_ADDR")),
            },
            port: number(&get, "MASTER_PORT")?.unwrap_or(default.port),
            restart: number(&get, "TORCHELASTIC_RESTART_COUNT")?.unwrap_or_default(),
            store_of_agent: get("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|v| v == "True"),
        };
        launch.check().map(|()| launch)
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.rank < self.ranks {
            return Ok(());
        }
        let expected = format!("below {}, the number of ranks", self.ranks);
        Err(error::out_of_range("rank of this process", expected, self.rank))
    }
}

fn number<T: FromStr>(get: &impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<T>> {
    let Some(value) = get(name) else { return Ok(None) };
    value.trim().parse().map(Some).map_err(|_| {
        let (what, hint) = (format!("variable {name}"), "correct the environment");
        error::config(what, "a number", format!("{value:?}"), hint)
    })
}

fn missing(name: &str) -> error::Error {
    let hint = "set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, or use torchrun";
    error::config(format!("variable {name}"), "one for each rank", "none", hint)
}
