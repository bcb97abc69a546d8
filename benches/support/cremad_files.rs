//! Generated sounds and pictures, and folders of them in the layout of CREMA-D.

use std::{f32::consts::TAU, fs, path::Path};

use anyhow::Result;
use g2d::paper::data::Cremad;
use image::{Rgb, RgbImage};

const SAMPLE_RATE: u32 = 16_000;

/// Writes a tone with noise, which differs for every `seed`.
pub fn write_sound(path: &Path, samples: i64, seed: u32) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut sound = hound::WavWriter::create(path, spec)?;
    for n in 0..samples {
        let phase = TAU * (200.0 + 7.0 * seed as f32) * n as f32 / SAMPLE_RATE as f32;
        sound.write_sample((phase.sin() * 9_000.0 + (n * 7919 % 1000) as f32) as i16)?;
    }
    Ok(sound.finalize()?)
}

/// Writes a picture of 480 × 360 pixels, which differs for every `seed`: smooth areas with noise, as
/// in photographs.
pub fn write_picture(path: &Path, seed: u32) -> Result<()> {
    let colour = |x: u32, y: u32| {
        let noise = (x * 7919 + y * 104_729 + seed) % 17;
        Rgb([x / 2 + noise, y / 2 + noise, (x + y + seed) / 4 + noise].map(|c| c as u8))
    };
    Ok(RgbImage::from_fn(480, 360, colour).save(path)?)
}

/// Writes `clips` training clips and one test clip, each with `samples` of sound and three frames.
pub fn write_clips(folder: &Path, clips: usize, samples: i64) -> Result<()> {
    let (mut train, mut test) = (String::new(), String::new());
    fs::create_dir_all(folder.join("AudioWAV"))?;
    for i in 0..=clips {
        let label = Cremad::LABELS[i % Cremad::LABELS.len()];
        let name = format!("{}_IEO_{label}_XX", 1001 + i);
        let list = if i < clips { &mut train } else { &mut test };
        *list += &format!("{name},{label}\n");
        write_sound(&folder.join(format!("AudioWAV/{name}.wav")), samples, i as u32)?;
        let frames = folder.join(format!("Image-01-FPS/{name}"));
        fs::create_dir_all(&frames)?;
        for frame in 0..3 {
            let seed = (i * 37 + frame * 11) as u32;
            write_picture(&frames.join(format!("{frame:05}.jpg")), seed)?;
        }
    }
    fs::write(folder.join("train.csv"), train)?;
    Ok(fs::write(folder.join("test.csv"), test)?)
}
