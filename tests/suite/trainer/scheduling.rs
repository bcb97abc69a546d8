//! `Sequential` through the trainer: the plans of whole trainings by hand, and who then learns, bit by
//! bit, under an optimizer with momentum and weight decay.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use g2d::{
    Modality,
    schedule::{Ranking, Sequential},
};
use proptest::prelude::*;
use tch::Tensor;

use crate::support::{SharedConfidence, Tiny, with_prefix, fuzz_config, names, values};

const ALL: usize = usize::MAX;

/// Who learns in every step of a training: a modality's index, or [`ALL`].
fn train(
    student: &Tiny,
    schedule: Sequential,
    epochs: &[Vec<(i64, Vec<f64>)>], // steps of an epoch: rows, ρ
) -> Vec<Vec<usize>> {
    let rho: Rho = Rc::new(RefCell::new(vec![]));
    let mut trainer = student.builder_with_fixed_confidence(&rho).scheduler(schedule).build(student).unwrap();
    let mut optimizer = student.optimizer();
    let mut learners = Vec::new();
    let mut seed = 0.0;
    for steps in epochs {
        let mut found = Vec::new();
        for (rows, told) in steps {
            rho.replace(told.clone());
            seed += 1.0;
            optimizer.zero_grad();
            let before = values(&student.vs);
            let report = trainer.step(student, &student.batch(*rows, seed)).unwrap();
            optimizer.step();
            let moved = moved(student, &before);
            let planned: Vec<bool> = report.plan.kappa().iter().map(|&k| k == 1.0).collect();
            assert_eq!(moved, planned, "who moves is who was planned to");
            found.push(match moved.iter().filter(|&&m| m).count() {
                1 => moved.iter().position(|&m| m).unwrap(),
                n if n == moved.len() => ALL,
                n => panic!("{n} encoders learned"),
            });
        }
        trainer.end_epoch().unwrap();
        learners.push(found);
    }
    learners
}

/// Which encoders changed: every parameter of one that learns, no bit of the others. The fusion always.
fn moved(student: &Tiny, before: &BTreeMap<String, Tensor>) -> Vec<bool> {
    let after = values(&student.vs);
    for name in ["head.weight", "head.bias"] {
        assert!(!after[name].equal(&before[name]), "the fusion did not learn");
    }
    (0..student.params().modalities().count())
        .map(|m| {
            let own = with_prefix(&after, &format!("m{m}"));
            let changed: Vec<bool> = own.iter().map(|(n, t)| !t.equal(&before[n])).collect();
            assert!(changed.iter().all(|&c| c == changed[0]), "half an encoder learned: {own:?}");
            changed[0]
        })
        .collect()
}

/// An epoch of steps of 4 samples with these ρ.
fn epoch<const N: usize>(steps: &[[f64; N]]) -> Vec<(i64, Vec<f64>)> {
    steps.iter().map(|rho| (4, rho.to_vec())).collect()
}

#[test]
fn three_modalities_ranked_by_each_batch() {
    let plan = train(
        &Tiny::linear(3),
        Sequential::new([1, 2]),
        &[
            // stage 1: the weakest of each batch
            epoch(&[[0.5, 0.9, 0.2], [0.1, 0.9, 0.2], [0.5, 0.1, 0.2]]),
            // stage 2: the second of each batch, for two epochs
            epoch(&[[0.5, 0.9, 0.2], [0.1, 0.9, 0.2]]),
            epoch(&[[0.5, 0.5, 0.5], [0.3, 0.2, 0.1]]),
            // no third stage: all
            epoch(&[[0.5, 0.9, 0.2], [0.1, 0.9, 0.2]]),
        ],
    );
    assert_eq!(plan, [vec![2, 0, 1], vec![0, 2], vec![1, 1], vec![ALL, ALL]]);
}

#[test]
fn five_modalities_through_all_their_stages() {
    let rho = [0.4, 0.1, 0.5, 0.2, 0.3]; // weakest first: 1 3 4 0 2
    let epochs = vec![epoch(&[rho, rho]); 7];
    let plan = train(&Tiny::linear(5), Sequential::new([1, 1, 0, 2, 1]), &epochs);
    // stage 3 has no epochs: modality 4 waits for the joint phase
    assert_eq!(plan, [[1; 2], [3; 2], [0; 2], [0; 2], [2; 2], [ALL; 2], [ALL; 2]]);
}

#[test]
fn three_modalities_ranked_by_the_epoch_before() {
    let plan = train(
        &Tiny::linear(3),
        Sequential::new([2, 2]).ranking(Ranking::PreviousEpoch),
        &[
            // the first epoch, by its batches so far: means 0.3 0.2 0.4, then 0.3 0.35 0.25
            epoch(&[[0.3, 0.2, 0.4], [0.3, 0.5, 0.1]]),
            // the epoch before: 0.3 0.35 0.25, whatever this epoch's are
            epoch(&[[0.9, 0.1, 0.9], [0.9, 0.1, 0.9]]),
            // of the epoch before, 0.9 0.1 0.9: the second is 0, the first of the equal
            vec![(1, vec![0.1, 0.2, 0.9]), (7, vec![0.9, 0.5, 0.6])],
            // by samples 0.8 0.4625 0.6375 (by batches it would be 0.5 0.35 0.75): the second is 2
            epoch(&[[0.1, 0.2, 0.3]]),
            epoch(&[[0.1, 0.2, 0.3]]),
        ],
    );
    assert_eq!(plan, [vec![1, 2], vec![2, 2], vec![0, 0], vec![2], vec![ALL]]);
}

#[test]
fn five_modalities_in_a_fixed_order() {
    let order = Modality::list(["m4", "m0", "m3", "m1", "m2"]);
    let plan = train(
        &Tiny::linear(5),
        Sequential::new([1, 1, 1, 1, 1]).ranking(Ranking::Fixed(order)),
        &vec![epoch(&[[0.1, 0.2, 0.3, 0.4, 0.5]]); 6],
    );
    assert_eq!(plan, [[4], [0], [3], [1], [2], [ALL]]);
}

/// Running statistics move (training mode), parameters of a suppressed encoder do not, with batch
/// norm's scale and bias among them.
#[test]
fn convolutions_and_batch_norm_of_a_waiting_encoder_stand_still() {
    let student = Tiny::conv(3);
    let rho: Rho = Rc::new(RefCell::new(vec![0.2, 0.1, 0.3]));
    let schedule = Sequential::new([1]);
    let mut trainer = student.builder_with_fixed_confidence(&rho).scheduler(schedule).build(&student).unwrap();
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
            assert!(!after[&mean].equal(&before[&mean]), "{mean} stood still");
        }
    }
}

/// The plan by the rule alone, for a table of ρ.
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
            };
            let mut order: Vec<usize> = (0..rho.len()).collect();
            order.sort_by(|&a, &b| rho[a].total_cmp(&rho[b]));
            order[stage]
        };
        found.push((0..rows.len()).map(learner).collect());
    }
    found
}

/// k from 2 to 5, stages, a ranking, and ρ for four epochs of two steps. ρ are multiples of 1/64, so
/// that means are exact and ties come up.
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
