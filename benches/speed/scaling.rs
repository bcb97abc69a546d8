//! Step time and memory by number of modalities and by batch size.

use anyhow::Result;
use g2d::trainer::{Precision, SuppressedMode};

use crate::{
    clock::Clock,
    cremad::{CremadSetup, InputShape},
    memory::MemoryProbe,
    results::{number, print_table},
    rounds::Rounds,
    steps::{TrainingPhase, compact, g2d},
};

const PHASES: [(&str, TrainingPhase); 2] =
    [("joint", TrainingPhase::Joint), ("suppressed", TrainingPhase::Suppressed)];

/// Prints step time and memory for 2 to 8 modalities.
pub fn by_modalities(threads: i32) -> Result<()> {
    let mut all = Rounds::new(Clock::Wall);
    for k in 2..=8 {
        for (name, phase) in PHASES {
            all.add(format!("{name} {k}"), compact(k, phase)?);
        }
    }
    let times = all.run(30)?;
    let row = |k: i64| {
        let milliseconds = |name: &str| times.median(&format!("{name} {k}")) * 1e3;
        let mib = |name: &str| MemoryProbe::new(name, k).peak_in_new_process(threads);
        let cells = [milliseconds("joint"), milliseconds("suppressed")];
        let memory = [mib("k_joint")?, mib("k_suppressed")?];
        Ok([k.to_string()].into_iter().chain(cells.into_iter().chain(memory).map(number)).collect())
    };
    let rows = (2..=8).map(row).collect::<Result<_>>()?;
    let header = ["k", "joint ms", "suppressed ms", "joint MiB", "suppressed MiB"];
    print_table("Steps of k compact encoders, 16 samples of 28 × 28", &header, rows);
    Ok(())
}

/// Prints step time and memory of the CREMA-D networks by batch size.
pub fn by_batch_size(threads: i32) -> Result<()> {
    let mut rows = Vec::new();
    for batch in [4, 8, 16, 32] {
        let setup = CremadSetup::shared(InputShape { batch, ..InputShape::CREMAD }, true)?;
        let mut all = Rounds::new(Clock::Wall);
        for (name, phase) in PHASES {
            let cached = setup.borrow().cached_teachers();
            all.add(name, g2d(&setup, cached, phase, Precision::Full, SuppressedMode::Train)?);
        }
        let times = all.run(3)?;
        let mib = |name: &str| MemoryProbe::new(name, batch).peak_in_new_process(threads);
        let cells = [
            times.median("joint") * 1e3 / batch as f64,
            times.median("suppressed") * 1e3 / batch as f64,
            mib("joint")?,
            mib("suppressed")?,
        ];
        rows.push([batch.to_string()].into_iter().chain(cells.map(number)).collect());
    }
    let header = [
        "batch size",
        "joint ms per sample",
        "suppressed ms per sample",
        "joint MiB",
        "suppressed MiB",
    ];
    print_table("Steps of the CREMA-D networks by batch size", &header, rows);
    Ok(())
}
