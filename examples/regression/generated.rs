//! A set of the soil-moisture data's form, a pure function of its seed.
//!
//! The moisture shows in both. Eight columns of weather tell it plainly, but each station's
//! instruments are off in their own way, and half of validation and test comes from stations that
//! training never saw; one cell in thirty is missing. In the picture only the share that dark clods
//! cover tells it, whatever light falls on them: slower to learn, and the same everywhere.

use anyhow::Result;
use g2d::paper::data::{ImageTable, ImageTableRows, ImageTableSplits};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tch::Tensor;

const SIDE: usize = 28;
const COLUMNS: usize = 8;

/// Stations in training; validation and test have two more each.
const KNOWN: usize = 4;

/// How far off a station's instruments are.
type Station = [f64; COLUMNS];

/// 600 samples for training, 200 for validation, 300 for the test.
pub fn splits(seed: u64) -> Result<ImageTableSplits> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut stations = |n: usize| -> Vec<Station> {
        (0..n).map(|_| std::array::from_fn(|_| 0.8 * normal(&mut rng))).collect()
    };
    let known = stations(KNOWN);
    let [near, far] = [stations(2), stations(2)].map(|new| [&known[..2], &new].concat());
    let mut rows = |n, stations: &[Station]| rows(n, stations, &mut rng);
    Ok(ImageTableSplits {
        train: rows(600, &known)?,
        val: rows(200, &near)?,
        test: rows(300, &far)?,
    })
}

fn rows(n: usize, stations: &[Station], rng: &mut StdRng) -> Result<ImageTableRows> {
    let (mut pixels, mut cells, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for sample in 0..n {
        let moisture = rng.random::<f64>();
        picture(moisture, rng, &mut pixels);
        row(moisture, &stations[sample % stations.len()], rng, &mut cells);
        targets.push(0.08 + 0.34 * moisture);
    }
    let (count, side) = (n as i64, SIDE as i64);
    let layout = ImageTable::mis_me();
    let images = Tensor::from_slice(&pixels).view([count, 3, side, side]);
    let table = Tensor::from_slice(&cells).view([count, COLUMNS as i64]);
    let table = (layout.table, layout.columns, table);
    let targets = Tensor::from_slice(&targets);
    Ok(ImageTableRows::from_tensors(vec![("image".into(), images)], table, targets)?)
}

/// Ground under uneven light; dark clods cover up to a third of it.
fn picture(moisture: f64, rng: &mut StdRng, pixels: &mut Vec<u8>) {
    let (light, slope) = (rng.random_range(0.5..1.0), rng.random_range(-0.3..0.3));
    let mut ground = vec![1.0; SIDE * SIDE];
    for _ in 0..(4.0 + 60.0 * moisture) as usize {
        let (x, y) = (rng.random_range(0..SIDE - 1), rng.random_range(0..SIDE - 1));
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            ground[(y + dy) * SIDE + x + dx] = 0.8;
        }
    }
    for tint in [0.65, 0.5, 0.35] {
        for (i, ground) in ground.iter().enumerate() {
            let across = (i % SIDE) as f64 / SIDE as f64 - 0.5;
            let value = tint * light * (1.0 + slope * across) * ground + 0.08 * normal(rng);
            pixels.push((255.0 * value).clamp(0.0, 255.0) as u8);
        }
    }
}

/// Eight columns in units of their own, read by a station's instruments.
fn row(moisture: f64, station: &Station, rng: &mut StdRng, cells: &mut Vec<f64>) {
    for (column, off) in station.iter().enumerate() {
        let sign = if column % 2 == 0 { 1.0 } else { -1.0 };
        let scale = 10.0_f64.powi(column as i32 % 4 - 1);
        let value = scale * (5.0 + sign * moisture + off + 0.15 * normal(rng));
        cells.push(if rng.random_ratio(1, 30) { f64::NAN } else { value });
    }
}

/// A standard normal value (Box and Muller).
fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
