//! A set of the soil-moisture data's form, a pure function of its seed.
//!
//! The moisture is one part weather, one part soil: the weather's part shows plainly in eight noisy
//! columns (one cell in thirty is missing), the soil's part only in how much of the picture dark
//! clods cover, whatever light falls on it.

use anyhow::Result;
use g2d::paper::data::{ImageTable, ImageTableRows, ImageTableSplits};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tch::Tensor;

const SIDE: usize = 28;
const COLUMNS: usize = 8;

/// 600 samples for training, 200 for validation, 300 for the test.
pub fn splits(seed: u64) -> Result<ImageTableSplits> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut rows = |n| rows(n, &mut rng);
    Ok(ImageTableSplits { train: rows(600)?, val: rows(200)?, test: rows(300)? })
}

fn rows(n: usize, rng: &mut StdRng) -> Result<ImageTableRows> {
    let (mut pixels, mut cells, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..n {
        let (weather, soil) = (rng.random::<f64>(), rng.random::<f64>());
        picture(soil, rng, &mut pixels);
        row(weather, rng, &mut cells);
        targets.push(0.06 + 0.18 * weather + 0.18 * soil + 0.005 * normal(rng));
    }
    let (count, side) = (n as i64, SIDE as i64);
    let layout = ImageTable::mis_me();
    let images = Tensor::from_slice(&pixels).view([count, 3, side, side]);
    let table = Tensor::from_slice(&cells).view([count, COLUMNS as i64]);
    let targets = Tensor::from_slice(&targets);
    let table = (layout.table, layout.columns, table);
    Ok(ImageTableRows::from_tensors(vec![("image".into(), images)], table, targets)?)
}

/// Ground under uneven light; dark clods cover up to a third of it.
fn picture(soil: f64, rng: &mut StdRng, pixels: &mut Vec<u8>) {
    let (light, slope) = (rng.random_range(0.5..1.0), rng.random_range(-0.3..0.3));
    let mut ground = vec![1.0; SIDE * SIDE];
    for _ in 0..(4.0 + 60.0 * soil) as usize {
        let (x, y) = (rng.random_range(0..SIDE - 1), rng.random_range(0..SIDE - 1));
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            ground[(y + dy) * SIDE + x + dx] = 0.6;
        }
    }
    for tint in [0.65, 0.5, 0.35] {
        for (i, ground) in ground.iter().enumerate() {
            let across = (i % SIDE) as f64 / SIDE as f64 - 0.5;
            let value = tint * light * (1.0 + slope * across) * ground + 0.04 * normal(rng);
            pixels.push((255.0 * value).clamp(0.0, 255.0) as u8);
        }
    }
}

/// Eight columns in units of their own, each saying something of the weather.
fn row(weather: f64, rng: &mut StdRng, cells: &mut Vec<f64>) {
    for column in 0..COLUMNS {
        let sign = if column % 2 == 0 { 1.0 } else { -1.0 };
        let scale = 10.0_f64.powi(column as i32 % 4 - 1);
        let value = scale * (5.0 + sign * (weather + 0.35 * normal(rng)));
        cells.push(if rng.random_ratio(1, 30) { f64::NAN } else { value });
    }
}

/// A standard normal value (Box and Muller).
fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
