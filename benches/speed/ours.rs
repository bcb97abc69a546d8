//! The steps that are timed, and what they are compared with.

use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use g2d::{
    G2dTrainer, Student, Teacher,
    loss::Classification,
    schedule::Sequential,
    trainer::{Precision, SuppressedMode},
};
use tch::Reduction;

use crate::{
    clock::Clock,
    reference::Reference,
    results::Results,
    rounds::{Contestant, Rounds},
    setting::{Setting, Shape},
};

/// Whether an encoder is suppressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Suppressed,
    Joint,
}

type Shared = Rc<RefCell<Setting>>;

/// zero_grad, forward, cross-entropy, backward, optimizer, by hand.
pub fn plain(setting: &Shared) -> Contestant {
    let setting = Rc::clone(setting);
    Box::new(move || {
        let setting = &mut *setting.borrow_mut();
        let at = setting.turn();
        let (student, batch) = (&setting.student, &setting.batches[at]);
        setting.optimizer.zero_grad()?;
        let features = [student.encode(0, batch, true)?, student.encode(1, batch, true)?];
        let logits = student.fuse(&features, true)?;
        let targets = batch.targets();
        let loss =
            logits.cross_entropy_loss(targets, None::<tch::Tensor>, Reduction::Mean, -100, 0.0);
        loss.backward();
        // What our step reads too, and any loop that logs its loss.
        let _loss = loss.double_value(&[]);
        Ok(setting.optimizer.step()?)
    })
}

/// zero_grad, `G2dTrainer::step`, optimizer.
pub fn g2d(
    setting: &Shared,
    teachers: Vec<Box<dyn Teacher>>,
    phase: Phase,
    precision: Precision,
    mode: SuppressedMode,
) -> Result<Contestant> {
    let setting = Rc::clone(setting);
    let mut builder = G2dTrainer::builder(Classification::default())
        .encoders(setting.borrow().student.encoder_params(&setting.borrow().vs)?)
        .precision(precision)
        .suppressed_mode(mode);
    if phase == Phase::Suppressed {
        builder = builder.scheduler(Sequential::new([1]));
    }
    for teacher in teachers {
        builder = builder.teacher(teacher);
    }
    let mut trainer = builder.build(&setting.borrow().student)?;
    Ok(Box::new(move || {
        let setting = &mut *setting.borrow_mut();
        let at = setting.turn();
        setting.optimizer.zero_grad()?;
        let report = trainer.step(&setting.student, &setting.batches[at])?;
        if phase == Phase::Suppressed {
            assert_eq!(report.plan.kappa(), [0.0, 1.0], "the audio teacher is the stronger one");
        }
        Ok(setting.optimizer.step()?)
    }))
}

/// All ratios of steps.
pub fn compare(
    results: &mut Results,
    shape: Shape,
    rounds: usize,
    threads: i32,
    clock: Clock,
) -> Result<()> {
    let shared = |last| Ok::<_, anyhow::Error>(Rc::new(RefCell::new(Setting::new(shape, last)?)));
    let (first, last) = (shared(false)?, shared(true)?);
    let mut all = Rounds::new(clock);

    let reference = Reference::start(threads, shape)?;
    if let Some(reference) = reference {
        let reference = Rc::new(RefCell::new(reference));
        let variants =
            ["authors suppressed", "fair suppressed", "fair joint", "fair_bf16 suppressed"];
        for variant in variants.into_iter().chain(["fair_bf16 joint"]) {
            let reference = Rc::clone(&reference);
            let step = move || reference.borrow_mut().step(variant, clock);
            all.add_timed(variant, Box::new(step));
        }
    }
    all.add("plain", plain(&first));
    for (name, precision) in [("fp32", Precision::Full), ("bf16", Precision::Bf16)] {
        for (word, phase) in [("suppressed", Phase::Suppressed), ("joint", Phase::Joint)] {
            let mode = SuppressedMode::Train;
            let cached = last.borrow().cached();
            all.add(format!("{word}_cached_{name}"), g2d(&last, cached, phase, precision, mode)?);
            let live = last.borrow().live()?;
            all.add(format!("{word}_live_{name}"), g2d(&last, live, phase, precision, mode)?);
        }
    }
    let (full, train) = (Precision::Full, SuppressedMode::Train);
    let cached = || first.borrow().cached();
    all.add("trainer", g2d(&first, vec![], Phase::Joint, full, train)?);
    all.add("joint_cached_default", g2d(&first, cached(), Phase::Joint, full, train)?);
    all.add("suppressed_cached_default", g2d(&first, cached(), Phase::Suppressed, full, train)?);
    let still = last.borrow().cached();
    let still = g2d(&last, still, Phase::Suppressed, full, SuppressedMode::Evaluation)?;
    all.add("suppressed_cached_still_fp32", still);

    let times = all.run(rounds)?;
    results.seconds(&times);
    for (word, reference) in [("suppressed", "fair suppressed"), ("joint", "fair joint")] {
        for rest in ["cached_fp32", "live_fp32", "cached_bf16", "live_bf16", "cached_default"] {
            results.ratio(&format!("{word}_{rest}"), &times, &format!("{word}_{rest}"), reference);
        }
        for rest in ["cached_bf16", "live_bf16"] {
            let name = format!("{word}_{rest}");
            let reference = format!("fair_bf16 {word}");
            results.ratio(&format!("{name}_against_bf16"), &times, &name, &reference);
        }
    }
    let still = "suppressed_cached_still_fp32";
    results.ratio(still, &times, still, "fair suppressed");
    results.ratio("authors_loops", &times, "authors suppressed", "fair suppressed");
    results.ratio("trainer_overhead", &times, "trainer", "plain");
    results.ratio("joint_cached_overhead", &times, "joint_cached_default", "plain");
    results.step = times.median("plain");
    Ok(())
}
