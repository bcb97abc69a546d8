//! The environments of launchers.

use g2d::{Result, distributed::Launch};

use crate::support::assert_config_error;

fn launch(variables: &[(&str, &str)]) -> Result<Launch> {
    let find = |name: &str| variables.iter().find(|(own, _)| *own == name);
    Launch::from_variables(|name| find(name).map(|(_, value)| (*value).to_owned()))
}

const STORE: [(&str, &str); 2] = [("MASTER_ADDR", "node0"), ("MASTER_PORT", "1234")];

fn with_store(variables: &[(&str, &str)]) -> Result<Launch> {
    launch(&[variables, &STORE].concat())
}

#[test]
fn torchrun_s_variables() {
    let variables = [
        ("RANK", "3"),
        ("WORLD_SIZE", "4"),
        ("LOCAL_RANK", "1"),
        ("TORCHELASTIC_RESTART_COUNT", "2"),
        ("TORCHELASTIC_USE_AGENT_STORE", "True"),
    ];
    let expected = Launch {
        rank: 3,
        ranks: 4,
        local_rank: 1,
        host: "node0".to_owned(),
        port: 1234,
        restart: 2,
        store_of_agent: true,
    };
    assert_eq!(with_store(&variables).unwrap(), expected);
}

#[test]
fn mpirun_s_and_srun_s_variables() {
    let expected = Launch {
        rank: 1,
        ranks: 2,
        local_rank: 1,
        host: "node0".to_owned(),
        port: 1234,
        ..Launch::default()
    };
    let mpirun = [
        ("OMPI_COMM_WORLD_RANK", "1"),
        ("OMPI_COMM_WORLD_SIZE", "2"),
        ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ];
    assert_eq!(with_store(&mpirun).unwrap(), expected);
    let srun = [
        ("SLURM_PROCID", "1"),
        ("SLURM_NTASKS", "2"),
        ("SLURM_STEP_NUM_TASKS", "2"),
        ("SLURM_LOCALID", "1"),
    ];
    assert_eq!(with_store(&srun).unwrap(), expected);
    let by_hand = [&srun as &[_], &[("RANK", "0"), ("WORLD_SIZE", "2")]].concat();
    assert_eq!(with_store(&by_hand).unwrap().rank, 0, "RANK wins");
}

#[test]
fn a_program_in_a_batch_script_that_srun_did_not_start_is_refused() {
    let variables = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_LOCALID", "0")];
    assert_config_error(with_store(&variables), &["SLURM_STEP_NUM_TASKS", "srun"]);
}

#[test]
fn a_missing_or_invalid_variable_is_named() {
    assert_config_error(launch(&[]), &["rank of this process", "torchrun"]);
    assert_config_error(launch(&[("RANK", "0")]), &["WORLD_SIZE"]);
    let two = [("RANK", "0"), ("WORLD_SIZE", "2")];
    assert_config_error(launch(&two), &["MASTER_ADDR"]);
    assert_config_error(with_store(&[("RANK", "one"), ("WORLD_SIZE", "2")]), &["RANK", "\"one\""]);
    assert_config_error(with_store(&[("RANK", "2"), ("WORLD_SIZE", "2")]), &["below 2"]);
    let alone = launch(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap();
    assert_eq!(alone, Launch::default());
}
