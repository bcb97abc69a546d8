//! The data pipeline on generated files in CREMA-D's layout, beside the step that it feeds.

use std::{cell::RefCell, f32::consts::TAU, fs, path::Path, rc::Rc, time::Instant};

use anyhow::Result;
use g2d::{
    Batch, Student,
    data::Order,
    paper::data::{ClipLoader, Cremad, LoaderOptions, Mode, OnMissing},
    trainer::{Precision, SuppressedMode},
};
use image::{Rgb, RgbImage};
use rand::{SeedableRng, rngs::StdRng};
use tch::Device;

use crate::{
    ours::{self, Phase},
    results::{Results, number},
    setting::{Setting, Shape},
};

/// Samples a second of the loader alone, of the joint step alone, and of both at once.
pub fn compare(results: &mut Results, smoke: bool, threads: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let clips = if smoke { 8 } else { 192 };
    generate(folder.path(), clips)?;
    let cremad = Cremad::new(folder.path(), OnMissing::Error);
    let train = cremad.authors_split()?.train;
    let loader = |workers| {
        let batch_size = if smoke { 4 } else { 16 };
        let options = LoaderOptions { workers, batch_size, ..Default::default() };
        ClipLoader::new(train.clone(), &cremad.transform(), Mode::Train, options)
    };

    let mut rng = StdRng::seed_from_u64(1);
    let alone = {
        let loader = loader(threads)?;
        let mut rates = Vec::new();
        for epoch in 0..3 {
            let start = Instant::now();
            let mut samples = 0;
            for batch in loader.batches(epoch, Order::Shuffled(&mut rng), Device::Cpu) {
                samples += batch?.size();
            }
            rates.push(samples as f64 / start.elapsed().as_secs_f64());
        }
        crate::rounds::quantile(rates, 0.5)
    };

    let shape = if smoke { Shape::SMOKE } else { Shape::CREMAD };
    let setting = Rc::new(RefCell::new(Setting::new(shape, true)?));
    let mut step =
        ours::g2d(&setting, vec![], Phase::Joint, Precision::Full, SuppressedMode::Train)?;
    let steps = if smoke { 1 } else { 6 };
    step()?;
    let start = Instant::now();
    (0..steps).try_for_each(|_| step())?;
    let consumed = (steps * shape.batch) as f64 / start.elapsed().as_secs_f64();

    let loader = loader(1)?;
    let mut batches = loader.batches(9, Order::Stored, Device::Cpu);
    let mut take = || batches.next().transpose();
    fed(&setting, take()?)?;
    step()?;
    let (start, mut samples) = (Instant::now(), 0);
    for _ in 0..steps {
        let Some(batch) = take()? else { break };
        samples += batch.size();
        fed(&setting, Some(batch))?;
        step()?;
    }
    let both = samples as f64 / start.elapsed().as_secs_f64();

    let row = |name: &str, rate: f64| vec![name.to_owned(), number(rate)];
    results.table(
        "Samples a second of CREMA-D's layout (16 kHz sound, 480 × 360 JPEG)",
        &["what", "samples/s"],
        vec![
            row(&format!("loader alone, {threads} workers"), alone),
            row("joint step alone", consumed),
            row("joint step, fed by 1 worker", both),
        ],
    );
    results.put("loader", alone / consumed);
    results.put("fed_step", consumed / both);
    Ok(())
}

/// Puts the loader's batch where the next step takes it from; its clips have the ids of no teacher.
fn fed(setting: &Rc<RefCell<Setting>>, batch: Option<Batch>) -> Result<()> {
    let mut setting = setting.borrow_mut();
    let Some(batch) = batch else { return Ok(()) };
    debug_assert_eq!(setting.student.modalities().len(), batch.inputs().len());
    for place in &mut setting.batches {
        *place = batch.to_device(Device::Cpu)?;
    }
    Ok(())
}

/// Sound of 2.5 s and three frames a clip, none like another.
fn generate(folder: &Path, clips: usize) -> Result<()> {
    let (mut train, mut test) = (String::new(), String::new());
    fs::create_dir_all(folder.join("AudioWAV"))?;
    for i in 0..clips + 1 {
        let label = Cremad::LABELS[i % 6];
        let name = format!("{}_IEO_{label}_XX", 1001 + i);
        let listing = if i < clips { &mut train } else { &mut test };
        *listing += &format!("{name},{label}\n");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let path = folder.join(format!("AudioWAV/{name}.wav"));
        let mut sound = hound::WavWriter::create(path, spec)?;
        for n in 0..40_000 {
            let phase = TAU * (200.0 + 7.0 * i as f32) * n as f32 / 16_000.0;
            sound.write_sample((phase.sin() * 9_000.0 + (n * 7919 % 1000) as f32) as i16)?;
        }
        sound.finalize()?;
        let frames = folder.join(format!("Image-01-FPS/{name}"));
        fs::create_dir_all(&frames)?;
        for frame in 0..3 {
            let base = (i * 37 + frame * 11) as u32;
            // Smooth areas with noise on them, as in photographs.
            let grain = |x: u32, y: u32| (x * 7919 + y * 104_729 + base) % 17;
            let colour = |x, y| {
                let noise = grain(x, y);
                Rgb([x / 2 + noise, y / 2 + noise, (x + y + base) / 4 + noise].map(|c| c as u8))
            };
            RgbImage::from_fn(480, 360, colour).save(frames.join(format!("{frame:05}.jpg")))?;
        }
    }
    fs::write(folder.join("train.csv"), train)?;
    fs::write(folder.join("test.csv"), test)?;
    Ok(())
}
