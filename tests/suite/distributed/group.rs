//! The operations of a group.

use std::time::Duration;

use g2d::{
    Error,
    distributed::{Backend, GroupConfig, Launch, ProcessGroup, Reduction, in_threads},
};
use tch::{Kind, Tensor};

use super::all;
use crate::support::{assert_config_error, assert_error};

fn quick() -> GroupConfig {
    GroupConfig { timeout: Duration::from_secs(2), ..GroupConfig::default() }
}

#[test]
fn an_all_reduce_combines_the_values_of_all_ranks() {
    for ranks in [1, 2, 3, 4] {
        for (reduction, expected) in [
            (Reduction::Sum, (0..ranks).sum::<usize>() as f64),
            (Reduction::Mean, (ranks - 1) as f64 / 2.0),
            (Reduction::Min, 0.0),
            (Reduction::Max, (ranks - 1) as f64),
        ] {
            let found = all(ranks, |group| {
                let tensor = Tensor::from_slice(&[group.rank() as f64; 5]);
                group.all_reduce(&tensor, reduction)?;
                Ok(Vec::<f64>::try_from(tensor).unwrap())
            });
            assert_eq!(found, vec![vec![expected; 5]; ranks], "{reduction:?}");
        }
    }
}

#[test]
fn a_broadcast_copies_tensors_of_several_dtypes() {
    let found = all(3, |group| {
        let own = group.rank() as f64 + 1.0;
        let doubles = Tensor::from_slice(&[own, -own]);
        let integers = Tensor::from_slice(&[group.rank() as i64 * 7]);
        let transposed = Tensor::from_slice(&[own, 2.0, own, 4.0]).reshape([2, 2]).tr();
        group.broadcast(
            &[doubles.shallow_clone(), integers.shallow_clone(), transposed.shallow_clone()],
            1,
        )?;
        let all = [doubles, integers.to_kind(Kind::Double), transposed.reshape([-1])];
        Ok(Vec::<f64>::try_from(Tensor::cat(&all, 0)).unwrap())
    });
    assert_eq!(found, vec![vec![2.0, -2.0, 7.0, 2.0, 2.0, 2.0, 4.0]; 3]);
    for found in super::each(2, |group| group.broadcast(&[Tensor::from(0.0)], 2)) {
        assert_config_error(found, &["root of a broadcast", "below 2"]);
    }
}

#[test]
fn a_rank_that_does_not_come_to_a_barrier_is_an_error_that_names_it() {
    let found = in_threads(3, &quick(), |group| {
        if group.rank() == 2 {
            std::thread::sleep(Duration::from_secs(4));
            return Ok(());
        }
        group.barrier()
    });
    let found = found.unwrap();
    let error = assert_error(found.into_iter().next().unwrap(), &["wait for all ranks"]);
    let Error::Torch { source, .. } = error else { panic!("{error}") };
    assert!(source.to_string().contains("Ranks 2 failed"), "{source}");
}

#[test]
fn a_group_is_closed_after_an_error() {
    let found = in_threads(2, &quick(), |group| {
        if group.rank() == 0 {
            let first = group.all_reduce(&Tensor::from(1.0), Reduction::Sum);
            assert_error(first, &["reduce a tensor over all ranks"]);
            assert_config_error(group.barrier(), &["rank 0", "closed after an error"]);
        }
        Ok(()) // rank 1 leaves at once
    });
    found.unwrap().into_iter().for_each(|found| found.unwrap());
}

#[test]
fn a_rank_that_never_arrives_is_an_error() {
    let launch = Launch { ranks: 2, port: 0, ..Launch::default() };
    let config = GroupConfig { timeout: Duration::from_secs(1), ..GroupConfig::default() };
    assert_error(ProcessGroup::new(&launch, &config), &["open the store of the ranks"]);
}

#[test]
fn a_taken_port_is_an_error() {
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let launch = Launch { ranks: 1, port, ..Launch::default() };
    let words = ["open the store of the ranks", &port.to_string()];
    assert_error(ProcessGroup::new(&launch, &quick()), &words);
}

#[test]
fn a_group_of_one_rank_works_as_any_other() {
    let launch = Launch { port: 0, ..Launch::default() };
    let group = ProcessGroup::new(&launch, &quick()).unwrap();
    let tensor = Tensor::from(3.0);
    group.all_reduce(&tensor, Reduction::Mean).unwrap();
    group.barrier().unwrap();
    assert_eq!((tensor.double_value(&[]), group.size(), group.is_first()), (3.0, 1, true));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let launch = Launch { rank: 2, ranks: 2, ..Launch::default() };
    assert_config_error(ProcessGroup::new(&launch, &quick()), &["rank of this process", "below 2"]);
    let config = GroupConfig { timeout: Duration::ZERO, ..GroupConfig::default() };
    assert_config_error(ProcessGroup::new(&Launch::default(), &config), &["timeout"]);
}

#[test]
fn nccl_without_a_device_is_an_error() {
    if tch::Cuda::is_available() {
        return crate::support::skipped("there is a CUDA device: tests/cuda.rs has it");
    }
    let launch = Launch { port: 0, ..Launch::default() };
    let config = GroupConfig { backend: Backend::Nccl, ..quick() };
    let error = ProcessGroup::new(&launch, &config).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("no NCCL") || text.contains("GPU"), "{text}");
}
