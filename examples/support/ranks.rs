//! The ranks of a run that is distributed over processes.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::Result;
use g2d::{
    data::Part,
    distributed::{GroupConfig, Launch, ProcessGroup},
};

/// How this process was launched; not set in a run of one process.
static LAUNCH: OnceLock<Launch> = OnceLock::new();

thread_local! {
    /// The group of the thread that trains students.
    static GROUP: OnceCell<ProcessGroup> = const { OnceCell::new() };
}

/// Makes this process a rank, by the variables of its launcher.
pub fn begin() -> Result<()> {
    let launch = Launch::from_env()?;
    let _ = LAUNCH.set(launch); // a second call finds the same
    Ok(())
}

/// The group of ranks, connected at the first call; `None` in a run of one process.
pub fn group() -> Result<Option<ProcessGroup>> {
    let Some(launch) = LAUNCH.get() else { return Ok(None) };
    GROUP.with(|group| {
        if group.get().is_none() {
            let _ = group.set(ProcessGroup::new(launch, &GroupConfig::default())?);
        }
        Ok(group.get().cloned())
    })
}

/// The part of each batch that this rank reads.
pub fn part() -> Part {
    LAUNCH
        .get()
        .map_or_else(Part::default, |launch| Part { rank: launch.rank, ranks: launch.ranks })
}

/// The folder for the files of this rank: `folder` itself for rank 0, and a folder in it for another one.
pub fn folder(folder: &Path) -> PathBuf {
    match part().rank {
        0 => folder.to_owned(),
        rank => folder.join(format!("rank{rank}")),
    }
}
