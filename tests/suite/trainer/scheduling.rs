//! The encoders that learn under `Sequential` in whole trainings, bit by bit, with an optimizer
//! that has momentum and weight decay.

use std::{cell::RefCell, rc::Rc};

use g2d::{
    Modality,
    schedule::{Ranking, Sequential},
};
use proptest::prelude::*;

use crate::support::{SharedConfidence, Snapshot, Tiny, fuzz_config, names, values, with_prefix};

const ALL: usize = usize::MAX;

/// The rows and ρ of the steps of an epoch.
type Epoch = Vec<(i64, Vec<f64>)>;

/// The modality that learns in every step of a training, or [`ALL`].
fn train(student: &Tiny, schedule: Sequential, epochs: &[Epoch]) -> Vec<Vec<usize>> {
    let rho: SharedConfidence = Rc::new(RefCell::new(vec![]));
    let mut trainer =
        student.builder_with_fixed_confidence(&rho).scheduler(schedule).build(student).unwrap();
    let mut optimizer = student.optimizer();
    let mut learners = Vec::new();
    let mut seed = 0.0;
    for steps in epochs {
        let mut found = Vec::new();
        for (rows, confidence) in steps {
            rho.replace(confidence.clone());
            seed += 1.0;
            optimizer.zero_grad();
            let before = values(&student.vs);
            let report = trainer.step(student, &student.batch(*rows, seed)).unwrap();
            optimizer.step();
            let changed = changed_encoders(student, &before);
            let planned: Vec<bool> = report.plan.kappa().iter().map(|&k| k == 1.0).collect();
            assert_eq!(changed, planned, "the encoders that change are those of the plan");
            found.push(match changed.iter().filter(|&&changed| changed).count() {
                1 => changed.iter().position(|&changed| changed).unwrap(),
                n if n == changed.len() => ALL,
                n => panic!("{n} encoders learned"),
            });
        }
        trainer.end_epoch().unwrap();
        learners.push(found);
    }
    learners
}

/// Whether each encoder has changed; asserts that all of its parameters or none have, and that the
/// fusion has.
fn changed_encoders(student: &Tiny, before: &Snapshot) -> Vec<bool> {
    let after = values(&student.vs);
    for name in ["head.weight", "head.bias"] {
        assert!(!after[name].equal(&before[name]), "the fusion did not learn");
    }
    (0..student.params().modalities().count())
        .map(|m| {
            let own = with_prefix(&after, &format!("m{m}"));
            let changed: Vec<bool> = own.iter().map(|(n, t)| !t.equal(&before[n])).collect();
            assert!(
                changed.iter().all(|&c| c == changed[0]),
                "a part of an encoder learned: {own:?}"
            );
            changed[0]
        })
        .collect()
}

/// Steps of 4 samples with these ρ.
fn epoch<const N: usize>(steps: &[[f64; N]]) -> Epoch {
    steps.iter().map(|rho| (4, rho.to_vec())).collect()
}

#[test]
fn three_modalities_learn_in_the_order_of_each_batch() {
    let plan = train(
        &Tiny::linear(3),
        Sequential::new([1, 2]),
        &[
            // Stage 1: the weakest of each batch.
            epoch(&[[0.5, 0.9, 0.2], [0.1, 0.9, 0.2], [0.5, 0.1, 0.2]]),
            // Stage 2, of two epochs: the second weakest of each batch.
            epoch(&[[0.5, 0.9, 0.2], [0.1, 0.9, 0.2]]),
            epoch(&[[0.5, 0.5, 0.5], [0.3, 0.2, 0.1]]),
            // No third stage: all.
            epoch(&[[0.5, 0.9, 0.2], [0.1, 0.9, 0.2]]),
        ],
    );
    assert_eq!(plan, [vec![2, 0, 1], vec![0, 2], vec![1, 1], vec![ALL, ALL]]);
}

#[test]
fn five_modalities_learn_one_per_stage_and_then_all() {
    let rho = [0.4, 0.1, 0.5, 0.2, 0.3]; // weakest first: 1 3 4 0 2
    let epochs = vec![epoch(&[rho, rho]); 7];
    let plan = train(&Tiny::linear(5), Sequential::new([1, 1, 0, 2, 1]), &epochs);
    // Stage 3 has no epochs, so modality 4 does not learn before the joint phase.
    assert_eq!(plan, [[1; 2], [3; 2], [0; 2], [0; 2], [2; 2], [ALL; 2], [ALL; 2]]);
}

#[test]
fn three_modalities_learn_in_the_order_of_the_previous_epoch() {
    let plan = train(
        &Tiny::linear(3),
        Sequential::new([2, 2]).ranking(Ranking::PreviousEpoch),
        &[
            // The first epoch is ranked by its batches so far: means 0.3 0.2 0.4, then 0.3 0.35
            // 0.25.
            epoch(&[[0.3, 0.2, 0.4], [0.3, 0.5, 0.1]]),
            // Previous epoch: 0.3 0.35 0.25.
            epoch(&[[0.9, 0.1, 0.9], [0.9, 0.1, 0.9]]),
            // Previous epoch: 0.9 0.1 0.9; the second weakest is 0, the first of the equal ones.
            vec![(1, vec![0.1, 0.2, 0.9]), (7, vec![0.9, 0.5, 0.6])],
            // Previous epoch, by samples: 0.8 0.4625 0.6375; by batches it would be 0.5 0.35 0.75.
            epoch(&[[0.1, 0.2, 0.3]]),
            epoch(&[[0.1, 0.2, 0.3]]),
        ],
    );
    assert_eq!(plan, [vec![1, 2], vec![2, 2], vec![0, 0], vec![2], vec![ALL]]);
}

#[test]
fn five_modalities_learn_in_a_fixed_order() {
    let order = Modality::list(["m4", "m0", "m3", "m1", "m2"]);
    let plan = train(
        &Tiny::linear(5),
        Sequential::new([1, 1, 1, 1, 1]).ranking(Ranking::Fixed(order)),
        &vec![epoch(&[[0.1, 0.2, 0.3, 0.4, 0.5]]); 6],
    );
    assert_eq!(plan, [[4], [0], [3], [1], [2], [ALL]]);
}

#[test]
fn parameters_of_a_suppressed_encoder_are_frozen_but_its_running_statistics_are_updated() {
    let student = Tiny::conv(3);
    let rho: SharedConfidence = Rc::new(RefCell::new(vec![0.2, 0.1, 0.3]));
    let schedule = Sequential::new([1]);
    let mut trainer =
        student.builder_with_fixed_confidence(&rho).scheduler(schedule).build(&student).unwrap();
    let mut optimizer = student.optimizer();
    for step in 0..3 {
        let before = values(&student.vs);
        optimizer.zero_grad();
        trainer.step(&student, &student.batch(4, f64::from(step))).unwrap();
        optimizer.step();
        let after = values(&student.vs);
        for m in 0..3 {
            for (name, parameter) in student.params().encoder(m) {
                assert_eq!(parameter.equal(&before[name]), m != 1, "{name}");
            }
            let mean = format!("m{m}.bn.running_mean");
            assert!(!after[&mean].equal(&before[&mean]), "{mean} did not change");
        }
    }
}

/// The modalities that must learn, for a table of ρ by epoch and step.
fn expected(ranking: &Ranking, stages: &[u64], table: &[Vec<Vec<f64>>]) -> Vec<Vec<usize>> {
    let mean = |rows: &[Vec<f64>]| -> Vec<f64> {
        let sum = |m: usize| rows.iter().map(|row| row[m]).sum::<f64>();
        (0..rows[0].len()).map(|m| sum(m) / rows.len() as f64).collect()
    };
    let mut found = Vec::new();
    for (epoch, rows) in table.iter().enumerate() {
        let ends = stages.iter().scan(0, |end, tau| {
            *end += tau;
            Some(*end)
        });
        let stage = ends.into_iter().position(|end| (epoch as u64) < end);
        let learner = |step: usize| {
            let Some(stage) = stage else { return ALL };
            let rho = match ranking {
                Ranking::Batch => rows[step].clone(),
                Ranking::PreviousEpoch if epoch == 0 => mean(&rows[..=step]),
                Ranking::PreviousEpoch => mean(&table[epoch - 1]),
                Ranking::Fixed(order) => return order[stage].name()[1..].parse().unwrap(),
                Ranking::HeldOut(_) => unreachable!("not generated"),
            };
            let mut order: Vec<usize> = (0..rho.len()).collect();
            order.sort_by(|&a, &b| rho[a].total_cmp(&rho[b]));
            order[stage]
        };
        found.push((0..rows.len()).map(learner).collect());
    }
    found
}

/// Stages, a ranking, and ρ of 2 to 5 modalities for four epochs of two steps. ρ are multiples of
/// 1/64, so that means are exact and ties occur.
fn training() -> impl Strategy<Value = (Vec<u64>, Ranking, Vec<Vec<Vec<f64>>>)> {
    (2_usize..6).prop_flat_map(|k| {
        let rho = || prop::collection::vec((0_u32..64).prop_map(|x| f64::from(x) / 64.0), k);
        let steps = prop::collection::vec(rho(), 2);
        let ranking = prop_oneof![
            Just(Ranking::Batch),
            Just(Ranking::PreviousEpoch),
            Just(names(k)).prop_shuffle().prop_map(Ranking::Fixed),
        ];
        (prop::collection::vec(0_u64..3, 0..=k), ranking, prop::collection::vec(steps, 4))
    })
}

proptest! {
    #![proptest_config(fuzz_config(40))]
    #[test]
    fn exactly_the_planned_encoders_learn((stages, ranking, table) in training()) {
        let student = Tiny::linear(table[0][0].len());
        let schedule = Sequential::new(stages.clone()).ranking(ranking.clone());
        let four_rows = |steps: &Vec<Vec<f64>>| steps.iter().map(|rho| (4, rho.clone())).collect();
        let epochs: Vec<Vec<_>> = table.iter().map(four_rows).collect();
        let found = train(&student, schedule, &epochs);
        prop_assert_eq!(found, expected(&ranking, &stages, &table));
    }
}
