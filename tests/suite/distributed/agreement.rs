//! Values that are not finite, ranks that fail and ranks that disagree.

use g2d::{
    Error, G2dTrainer, Result, StepOutcome,
    loss::Classification,
    schedule::Sequential,
    step::{NonFiniteSource, SkipCause},
    trainer::{Builder, LossScaling, NonFinite, Precision},
};
use tch::{Kind, Tensor};

use super::{all, each};
use crate::support::{
    FixedKappa, Snapshot, Tiny, assert_config_error, assert_error, assert_same, gradients, values,
    with_nan_input, with_targets,
};

fn student() -> Tiny {
    Tiny::with_widths(&[4, 4], Kind::Float)
}

fn with_teachers(student: &Tiny) -> Builder {
    student.builder_with_teachers(Classification::default())
}

/// What each of two ranks finds in a step in which the batch of rank 1 has NaN in modality 0, and in the
/// next, finite one.
fn with_nan(
    configure: impl Fn(Builder) -> Builder + Sync,
) -> Vec<(Result<StepOutcome>, StepOutcome, Snapshot)> {
    all(2, |group| {
        let student = student();
        let mut trainer = configure(with_teachers(&student)).group(&group).build(&student)?;
        let before = values(&student.vs);
        let finite = student.batch(4, group.rank() as f64);
        let nan = with_nan_input(&finite, 0);
        let first = trainer.step(&student, if group.rank() == 1 { &nan } else { &finite });
        assert!(gradients(&student.vs).is_empty());
        assert_same(&values(&student.vs), &before);
        let second = trainer.step(&student, &finite)?;
        Ok((first.map(|report| report.outcome), second.outcome, gradients(&student.vs)))
    })
}

#[test]
fn a_nan_on_one_rank_is_an_error_on_all_and_changes_nothing() {
    for scheduled in [false, true] {
        let found = with_nan(|builder| match scheduled {
            false => builder,
            true => builder.scheduler(Sequential::new([1])), // which reads ρ, so that it is NaN first
        });
        for (rank, (first, second, gradients)) in found.iter().enumerate() {
            match (rank, first) {
                (0, Err(Error::Rank { rank: 1, message })) => {
                    assert!(message.contains("input of modality \"m0\""), "{message}");
                }
                (1, Err(Error::NonFinite(_))) => {}
                found => panic!("{found:?}"),
            }
            assert_eq!(*second, StepOutcome::Ready);
            assert_same(gradients, &found[0].2);
        }
    }
}

#[test]
fn a_nan_on_one_rank_skips_the_step_on_all() {
    let cause = NonFiniteSource::Input("m0".into());
    for found in with_nan(|builder| builder.non_finite(NonFinite::Skip)) {
        let expected = StepOutcome::Skipped(SkipCause::NonFinite(cause.clone()));
        assert_eq!((found.0.unwrap(), found.1), (expected, StepOutcome::Ready));
    }
    for found in with_nan(|builder| builder.non_finite(NonFinite::StopAfter(1))) {
        assert_error(found.0, &["input of modality \"m0\"", "fewer than 1"]);
    }
}

#[test]
fn an_overflow_in_fp16_lowers_the_loss_scale_of_all_ranks() {
    let scaling = LossScaling { initial: 2.0_f64.powi(120), ..LossScaling::default() };
    let found = all(2, |group| {
        let student = student();
        let builder = with_teachers(&student).precision(Precision::Fp16).loss_scaling(scaling);
        let mut trainer = builder.group(&group).build(&student)?;
        // The loss of rank 1 is much larger.
        let batch = student.batch(4, 1.0);
        let inputs = [batch.input(0) * (1.0 + 1e3 * group.rank() as f64), batch.input(1).copy()];
        let batch = g2d::Batch::new(inputs, batch.targets().copy());
        let (mut outcomes, mut scales) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            outcomes.push(trainer.step(&student, &batch)?.outcome);
            scales.push(trainer.loss_scale().unwrap().scale);
        }
        Ok((outcomes, scales))
    });
    assert!(found[0].0.iter().any(|outcome| outcome.skipped().is_some()), "{:?}", found[0]);
    assert_eq!(found[0], found[1]);
}

#[test]
fn a_rank_that_fails_before_backward_fails_the_step_of_all() {
    let found = all(3, |group| {
        let student = student();
        let mut trainer = with_teachers(&student).group(&group).build(&student)?;
        let batch = student.batch(4, 0.0);
        let mut errors = Vec::new();
        // A label out of range, an input of the wrong width, on which a layer panics, and no rows.
        for fault in 0..3 {
            let wrong = match fault {
                0 => with_targets(&batch, Tensor::from_slice(&[0_i64, 1, 2, 3])),
                1 => {
                    let inputs = [batch.input(0).narrow(1, 0, 2), batch.input(1).copy()];
                    g2d::Batch::new(inputs, batch.targets().copy())
                }
                _ => student.batch(0, 0.0),
            };
            let own = if group.rank() == 2 { &wrong } else { &batch };
            errors.push(trainer.step(&student, own).unwrap_err());
            assert!(gradients(&student.vs).is_empty());
            assert_eq!(trainer.progress().total_steps, 0);
        }
        trainer.step(&student, &batch)?;
        Ok((errors, gradients(&student.vs)))
    });
    for (rank, (errors, gradients)) in found.iter().enumerate() {
        for error in errors {
            assert_eq!(rank == 2, !matches!(error, Error::Rank { rank: 2, .. }), "{error}");
        }
        assert_same(gradients, &found[0].1);
    }
}

#[test]
fn ranks_at_other_calls_are_refused() {
    let found = each(2, |group| {
        let student = student();
        let mut trainer = with_teachers(&student).group(&group).build(&student)?;
        trainer.step(&student, &student.batch(4, 0.0))?;
        match group.rank() {
            0 => trainer.step(&student, &student.batch(4, 1.0)).map(drop),
            _ => trainer.end_epoch().map(drop),
        }
    });
    for outcome in found {
        assert_config_error(outcome, &["calls of the ranks", "`end_epoch`", "the plan of `step`"]);
    }
}

/// What two ranks find whose trainers differ.
fn builds(
    student: impl Fn(usize) -> Tiny + Sync,
    configure: impl Fn(usize, Builder) -> Builder + Sync,
) -> Vec<Result<()>> {
    each(2, |group| {
        let student = student(group.rank());
        let builder = configure(group.rank(), with_teachers(&student)).group(&group);
        builder.build(&student).map(drop)
    })
}

#[test]
fn other_configurations_are_refused_with_the_rank() {
    let found = builds(
        |_| student(),
        |rank, builder| if rank == 0 { builder } else { builder.clip_norm(1.0) },
    );
    for outcome in found {
        assert_config_error(outcome, &["configuration of rank 1", "clip norm Some(1.0)"]);
    }
}

#[test]
fn other_parameters_are_refused_with_the_rank_and_the_first_of_them() {
    let wide = |rank| Tiny::with_widths(if rank == 0 { &[4, 4] } else { &[4, 6] }, Kind::Float);
    for outcome in builds(wide, |_, builder| builder) {
        assert_config_error(outcome, &["parameters and buffers of rank 1", "[3, 8]", "[3, 10]"]);
    }
}

/// What two ranks find in steps before which `change` is called.
fn steps(change: impl Fn(usize, &Tiny) + Sync) -> Vec<Result<()>> {
    each(2, |group| {
        let student = student();
        let mut trainer = with_teachers(&student).group(&group).build(&student)?;
        for step in 0..2 {
            trainer.step(&student, &student.batch(4, f64::from(step)))?;
            change(group.rank(), &student);
        }
        Ok(())
    })
}

#[test]
fn layers_are_frozen_and_unfrozen_on_all_ranks() {
    let freeze = |student: &Tiny| {
        let all = student.vs.variables();
        let _ = all["m0.a.weight"].set_requires_grad(false);
    };
    for outcome in steps(|_, student| freeze(student)) {
        outcome.unwrap();
    }
    let words = ["parameters that require gradients of rank 1", "rank 0"];
    for outcome in steps(|rank, student| {
        if rank == 1 {
            freeze(student)
        }
    }) {
        assert_config_error(outcome, &words);
    }
}

#[test]
fn other_plans_are_refused_with_the_rank() {
    let found = each(2, |group| {
        let student = student();
        let kappa = FixedKappa(vec![1.0, group.rank() as f64]);
        let mut trainer: G2dTrainer =
            with_teachers(&student).scheduler(kappa).group(&group).build(&student)?;
        trainer.step(&student, &student.batch(4, 0.0)).map(drop)
    });
    for outcome in found {
        assert_config_error(outcome, &["κ of the plan of rank 1", "[1.0, 0.0]", "[1.0, 1.0]"]);
    }
}
