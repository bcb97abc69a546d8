//! Several ranks of a program on this host.

use std::{net::TcpListener, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::command::{Failed, display};

/// Starts `command` for each of `ranks` ranks, with the variables of its rank, and waits for all of them.
///
/// # Errors
/// [`Failed`] of the first rank that has ended with an exit code other than zero.
pub fn run_ranks(
    ranks: usize,
    command: impl Fn(Vec<(&'static str, String)>) -> Command,
) -> Result<()> {
    ensure!(ranks > 0, "the number of ranks must be above 0");
    let port = free_port().context("find a free port")?;
    let mut children = Vec::new();
    for rank in 0..ranks {
        let mut command = command(variables(rank, ranks, port));
        let child = command.spawn();
        children.push(child.with_context(|| format!("cannot start {}", display(&command)))?);
    }
    let mut failed = None;
    for mut child in children {
        let status = child.wait().context("wait for a rank")?;
        if !status.success() {
            failed.get_or_insert(Failed::new(status));
        }
    }
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

/// The variables that `torchrun` would set.
fn variables(rank: usize, ranks: usize, port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("RANK", rank.to_string()),
        ("LOCAL_RANK", rank.to_string()),
        ("WORLD_SIZE", ranks.to_string()),
        ("MASTER_ADDR", "127.0.0.1".to_owned()),
        ("MASTER_PORT", port.to_string()),
    ]
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn code(script: &str) -> Option<u8> {
        let shell = |variables| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).envs::<Vec<_>, _, _>(variables);
            command
        };
        run_ranks(3, shell).err().and_then(|error| error.downcast_ref::<Failed>().map(Failed::code))
    }

    #[test]
    fn every_rank_gets_its_number_and_the_first_failure_counts() {
        assert_eq!(
            code("test $WORLD_SIZE = 3 && test $RANK -lt 3 && test $MASTER_PORT -gt 0"),
            None
        );
        assert_eq!(code("exit $((RANK * 7))"), Some(7));
    }

    #[test]
    fn no_ranks_are_refused() {
        assert!(run_ranks(0, |_| Command::new("true")).is_err());
    }
}
