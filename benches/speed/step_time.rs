//! Step times of the CREMA-D networks, relative to plain steps.

use std::{cell::RefCell, rc::Rc};

use anyhow::Result;
use g2d::trainer::{Precision, SuppressedMode};

use crate::{
    clock::Clock,
    cremad::{CremadSetup, InputShape},
    reference::Reference,
    results::{BenchmarkResults, print_times},
    rounds::Rounds,
    steps::{TrainingPhase, g2d, plain},
};

/// Measures all step times and adds their ratios. Returns the seconds of the plain step.
pub fn measure(
    results: &mut BenchmarkResults,
    shape: InputShape,
    rounds: usize,
    threads: i32,
    clock: Clock,
) -> Result<f64> {
    let contiguous = CremadSetup::shared(shape, false)?;
    let channels_last = CremadSetup::shared(shape, true)?;
    let mut all = Rounds::new(clock);

    if let Some(reference) = Reference::start(threads, shape)? {
        let reference = Rc::new(RefCell::new(reference));
        for variant in [
            "authors suppressed",
            "fair suppressed",
            "fair joint",
            "fair_bf16 suppressed",
            "fair_bf16 joint",
        ] {
            let reference = Rc::clone(&reference);
            let step = move || reference.borrow_mut().step(variant, clock);
            all.add_timed(variant, Box::new(step));
        }
    }
    let (full, train) = (Precision::Full, SuppressedMode::Train);
    let phases = [("suppressed", TrainingPhase::Suppressed), ("joint", TrainingPhase::Joint)];
    all.add("plain", plain(&contiguous));
    for (precision_name, precision) in [("fp32", full), ("bf16", Precision::Bf16)] {
        for (phase_name, phase) in phases {
            let setup = &channels_last;
            let cached = setup.borrow().cached_teachers();
            let live = setup.borrow().live_teachers()?;
            for (name, teachers) in [("cached", cached), ("live", live)] {
                let step = g2d(setup, teachers, phase, precision, train)?;
                all.add(format!("{phase_name}_{name}_{precision_name}"), step);
            }
        }
    }
    all.add("trainer", g2d(&contiguous, vec![], TrainingPhase::Joint, full, train)?);
    for (phase_name, phase) in phases {
        let cached = contiguous.borrow().cached_teachers();
        let step = g2d(&contiguous, cached, phase, full, train)?;
        all.add(format!("{phase_name}_cached_default"), step);
    }
    let frozen = [("suppressed_frozen_fp32", full), ("suppressed_frozen_bf16", Precision::Bf16)];
    for (name, precision) in frozen {
        let (cached, mode) = (channels_last.borrow().cached_teachers(), SuppressedMode::Cached);
        let step = g2d(&channels_last, cached, TrainingPhase::Suppressed, precision, mode)?;
        all.add(name, step);
    }

    let times = all.run(rounds)?;
    print_times(&times);
    for (phase, reference) in [("suppressed", "fair suppressed"), ("joint", "fair joint")] {
        for suffix in ["cached_fp32", "live_fp32", "cached_bf16", "live_bf16", "cached_default"] {
            let name = format!("{phase}_{suffix}");
            results.add_ratio(&name, &times, &name, reference);
        }
        for suffix in ["cached_bf16", "live_bf16"] {
            let name = format!("{phase}_{suffix}");
            let reference = format!("fair_bf16 {phase}");
            results.add_ratio(&format!("{name}_against_bf16"), &times, &name, &reference);
        }
    }
    for (name, _) in frozen {
        results.add_ratio(name, &times, name, "fair suppressed");
    }
    results.add_ratio("authors_loops", &times, "authors suppressed", "fair suppressed");
    results.add_ratio("trainer_overhead", &times, "trainer", "plain");
    results.add_ratio("joint_cached_overhead", &times, "joint_cached_default", "plain");
    Ok(times.median("plain"))
}
