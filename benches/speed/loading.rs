//! The throughput of the data pipeline on generated files in the layout of CREMA-D, relative to the
//! step that consumes its batches.

use std::time::Instant;

use anyhow::{Context, Result};
use g2d::{
    data::{BatchOrder, Loader, LoaderOptions},
    paper::data::{ClipCache, ClipDataset, Cremad, Mode, OnMissing},
    trainer::{Precision, SuppressedMode},
};
use tch::Device;

use crate::{
    cremad::{CremadSetup, InputShape},
    cremad_files::write_clips,
    results::{BenchmarkResults, number, print_table},
    rounds::quantile,
    steps::{TrainingPhase, g2d},
};

/// 2.5 seconds.
const SAMPLES: i64 = 40_000;

/// Measures samples per second of the loader alone, of the joint step alone, and of both together,
/// and adds their ratios.
pub fn measure(results: &mut BenchmarkResults, smoke: bool, threads: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_clips(folder.path(), if smoke { 8 } else { 192 }, SAMPLES)?;
    let cremad = Cremad::new(folder.path(), OnMissing::Error);
    let train = cremad.authors_split()?.train;
    let loader = |workers| {
        let batch_size = if smoke { 4 } else { 16 };
        let (transform, options) =
            (cremad.transform(), LoaderOptions { workers, ..Default::default() });
        let clips = ClipDataset::new(train.clone(), &transform, Mode::Train, ClipCache::Off)?;
        Loader::new(clips, BatchOrder::shuffled(batch_size, 1), options)
    };

    let alone = loader_alone(&loader(threads)?)?;

    let shape = if smoke { InputShape::SMOKE } else { InputShape::CREMAD };
    let setup = CremadSetup::shared(shape, true)?;
    let joint = TrainingPhase::Joint;
    let mut step = g2d(&setup, vec![], joint, Precision::Full, SuppressedMode::Train)?;
    let steps = if smoke { 1 } else { 6 };
    step()?;
    let start = Instant::now();
    (0..steps).try_for_each(|_| step())?;
    let consumed = (steps * shape.batch) as f64 / start.elapsed().as_secs_f64();

    // The setup has no teachers for these batches, whose ids are of other samples.
    let loader = loader(1)?;
    let mut batches = loader.batches(9, Device::Cpu);
    setup.borrow_mut().set_batch(&batches.next().context("the loader is empty")??)?;
    step()?;
    let (start, mut samples) = (Instant::now(), 0);
    for batch in batches.take(steps as usize) {
        let batch = batch?;
        samples += batch.size();
        setup.borrow_mut().set_batch(&batch)?;
        step()?;
    }
    let both = samples as f64 / start.elapsed().as_secs_f64();

    let row = |name: &str, rate: f64| vec![name.to_owned(), number(rate)];
    print_table(
        "Throughput with CREMA-D's layout (16 kHz sound, 480 × 360 JPEG)",
        &["pipeline", "samples/s"],
        vec![
            row(&format!("loader alone, {threads} workers"), alone),
            row("joint step alone", consumed),
            row("joint step with loader, 1 worker", both),
        ],
    );
    results.add("loader", alone / consumed);
    results.add("fed_step", consumed / both);
    Ok(())
}

/// The median samples per second over three epochs.
fn loader_alone(loader: &Loader<ClipDataset>) -> Result<f64> {
    let mut rates = Vec::new();
    for epoch in 0..3 {
        let start = Instant::now();
        let mut samples = 0;
        for batch in loader.batches(epoch, Device::Cpu) {
            samples += batch?.size();
        }
        rates.push(samples as f64 / start.elapsed().as_secs_f64());
    }
    Ok(quantile(rates, 0.5))
}
