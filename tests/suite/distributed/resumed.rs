//! The state of a training, and the number of ranks; predictions and buffers of all ranks.

use g2d::{
    Batch, EpochReport, Result,
    data::{BatchOrder, InMemory, Part},
    distributed::ProcessGroup,
    evaluate,
    loss::Classification,
    probe::{GradientNorm, HeadAccuracy, ModalityGap},
    schedule::Sequential,
    trainer::{Builder, ReplicaBuffers, ResumeState},
};
use tch::{Device, Kind, Tensor};

use super::{all, assert_epoch, assert_near};
use crate::support::{
    CLASSES, INPUT, Snapshot, Tiny, assert_close, assert_same, is_same, values, wave, with_prefix,
};

const SAMPLES: i64 = 22;

fn data() -> InMemory {
    let input = |m: i64| wave(m as f64, &[SAMPLES, INPUT]);
    let labels = Tensor::arange(SAMPLES, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let present: Vec<bool> = (0..SAMPLES).map(|row| row % 5 != 2).collect();
    let data = InMemory::new(["m0", "m1"], [input(0), input(1)], labels).unwrap();
    data.with_present("m1", present).unwrap()
}

/// Steps `from..to` of an epoch of 4 batches from `state`; the new state.
fn steps(
    group: Option<&ProcessGroup>,
    state: &Option<(String, Snapshot)>,
    from: usize,
    to: usize,
) -> Result<(String, Snapshot, Option<EpochReport>)> {
    let student = Tiny::linear(2);
    let builder = student.builder_with_teachers(Classification::default());
    let mut builder = builder
        .scheduler(Sequential::new([1]))
        .probe(HeadAccuracy::default())
        .probe(GradientNorm::default())
        .probe(ModalityGap::default());
    let mut order = BatchOrder::shuffled(6, 3);
    if let Some(group) = group {
        builder = builder.group(group);
        order = order.for_rank(group.rank(), group.size());
    }
    let mut trainer = builder.build(&student)?;
    if let Some((state, weights)) = state {
        trainer.restore(&serde_json::from_str::<ResumeState>(state).unwrap())?;
        let _no_grad = tch::no_grad_guard();
        for (name, mut tensor) in student.vs.variables() {
            tensor.copy_(&weights[&name]);
        }
    }
    let mut optimizer = student.optimizer();
    for batch in data().batches(&order, 0, Device::Cpu).take(to).skip(from) {
        optimizer.zero_grad();
        trainer.step(&student, &batch?)?;
        optimizer.step();
    }
    let epoch = if to == 4 { Some(trainer.end_epoch()?) } else { None };
    let state = serde_json::to_string(&trainer.state()?).unwrap();
    Ok((state, values(&student.vs), epoch))
}

#[test]
fn an_epoch_continues_on_another_number_of_ranks() {
    // tch's optimizer has momentum, which starts anew with the second half of the epoch.
    let (state, weights, _) = steps(None, &None, 0, 2).unwrap();
    let (_, expected, epoch) = steps(None, &Some((state, weights)), 2, 4).unwrap();
    let epoch = epoch.unwrap();
    for (first, second) in [(2, 3), (3, 2), (3, 1), (1, 2)] {
        let found = all(first, |group| steps(Some(&group), &None, 0, 2));
        for (state, ..) in &found {
            assert_eq!(*state, found[0].0, "the state is that of all ranks");
        }
        let (state, weights, _) = found.into_iter().next().unwrap();
        let state = std::sync::Mutex::new((state, weights));
        let resumed = all(second, |group| {
            let state = {
                let state = state.lock().unwrap();
                let copies = state.1.iter().map(|(name, t)| (name.clone(), t.copy()));
                Some((state.0.clone(), copies.collect()))
            };
            steps(Some(&group), &state, 2, 4)
        });
        for (_, weights, found) in resumed {
            assert_near("weights", &weights, &expected, 1e-12);
            let found = found.unwrap();
            assert_epoch(&found, &epoch, 1e-12);
            assert_eq!(found.measurements.len(), epoch.measurements.len());
            for (found, expected) in found.measurements.iter().zip(&epoch.measurements) {
                assert!((found.value - expected.value).abs() < 1e-12, "{found:?}, {expected:?}");
            }
        }
    }
}

#[test]
fn predictions_of_all_ranks_are_those_of_one() {
    let student = Tiny::linear(2);
    let data = data();
    let whole = data.batches(&BatchOrder::stored(5), 0, Device::Cpu);
    let expected = evaluate(&student, whole).unwrap();
    for ranks in [1, 2, 3] {
        let found = all(ranks, |group| {
            let (student, data) = (Tiny::linear(2), self::data());
            let trainer =
                student.builder(Classification::default()).group(&group).build(&student)?;
            let rows: Vec<usize> = Part { rank: group.rank(), ranks }.rows(data.len()).collect();
            let batches = rows.chunks(3).map(<[usize]>::to_vec).collect();
            trainer.evaluate_on_all_ranks(&student, data.batches_of(batches, Device::Cpu))
        });
        for found in found {
            assert_close(&found.logits, &expected.logits);
            assert!(found.targets.equal(&expected.targets));
            assert_eq!((&found.ids, &found.present), (&expected.ids, &expected.present));
            for ((name, found), (expected_name, expected)) in
                found.heads.iter().zip(&expected.heads)
            {
                assert_eq!(name, expected_name);
                assert_close(found, expected);
            }
            assert_eq!(found.head_accuracy().unwrap(), expected.head_accuracy().unwrap());
        }
    }
}

/// The variables of two ranks after a step and the end of its epoch, and those of one trainer.
fn buffers(how: ReplicaBuffers) -> (Vec<Snapshot>, Snapshot) {
    let run = |group: Option<&ProcessGroup>| -> Result<Snapshot> {
        let student = Tiny::conv(2);
        let _ = student.vs.root().zeros_no_train("mask", &[1]).fill_(f64::NEG_INFINITY);
        let builder: Builder = student.builder(Classification::default());
        let batch = student.batch(8, 1.0);
        let half = |first: i64| {
            let inputs = [0, 1].map(|m| batch.input(m).narrow(0, first, 4));
            Batch::new(inputs, batch.targets().narrow(0, first, 4))
        };
        let mut trainer = match group {
            None => builder.build(&student)?,
            Some(group) => builder.replica_buffers(how).group(group).build(&student)?,
        };
        let own =
            group.map_or_else(|| student.batch(8, 1.0), |group| half(group.rank() as i64 * 4));
        trainer.step(&student, &own)?;
        trainer.end_epoch()?;
        Ok(values(&student.vs))
    };
    (all(2, |group| run(Some(&group))), run(None).unwrap())
}

fn statistics(variables: &Snapshot, which: &str) -> Snapshot {
    let own = variables.iter().filter(|(name, _)| name.contains(which));
    own.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
}

#[test]
fn running_statistics_are_averaged_copied_or_kept() {
    let (mean, alone) = buffers(ReplicaBuffers::Mean);
    assert!(is_same(&mean[0], &mean[1]));
    let found = statistics(&mean[0], "running_mean");
    assert_eq!(found.len(), 2);
    assert_near("running means", &found, &statistics(&alone, "running_mean"), 1e-12);
    let (own, _) = buffers(ReplicaBuffers::Own);
    assert!(!is_same(&own[0], &own[1]));
    let (first, _) = buffers(ReplicaBuffers::FromFirst);
    assert!(is_same(&first[0], &first[1]));
    assert_same(&statistics(&first[0], "running"), &statistics(&own[0], "running"));
    assert_same(&with_prefix(&mean[0], "m0.conv"), &with_prefix(&own[0], "m0.conv"));
}
