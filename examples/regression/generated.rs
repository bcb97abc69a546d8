//! A generated data set in the form of the soil-moisture data, a pure function of the seed.
//!
//! Both modalities depend on the moisture. Eight weather columns show it clearly, but the instruments
//! of each station have their own bias, and half of the validation and test samples are of stations
//! without training samples; one cell in thirty is missing. In a picture the moisture determines the
//! area of dark clods, under varying light: this is slower to learn and the same for all stations.

use anyhow::Result;
use g2d::paper::data::{ImageTable, ImageTableRows, ImageTableSplits};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tch::Tensor;

use crate::support::random::standard_normal;

const SIDE: usize = 28;
const COLUMNS: usize = 8;

/// Number of training stations. Validation and test have two of them and two others each.
const TRAIN_STATIONS: usize = 4;

/// The bias of a station's instruments.
type Station = [f64; COLUMNS];

/// 600 training, 200 validation and 300 test samples.
pub fn splits(seed: u64) -> Result<ImageTableSplits> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut stations = |n: usize| -> Vec<Station> {
        (0..n).map(|_| std::array::from_fn(|_| 0.8 * standard_normal(&mut rng))).collect()
    };
    let train = stations(TRAIN_STATIONS);
    let [val, test] = [stations(2), stations(2)].map(|new| [&train[..2], &new].concat());
    let mut rows = |n, stations: &[Station]| rows(n, stations, &mut rng);
    Ok(ImageTableSplits {
        train: rows(600, &train)?,
        val: rows(200, &val)?,
        test: rows(300, &test)?,
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

/// Appends a picture of ground under uneven light, up to a third of it covered by dark clods.
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
            let value =
                tint * light * (1.0 + slope * across) * ground + 0.08 * standard_normal(rng);
            pixels.push((255.0 * value).clamp(0.0, 255.0) as u8);
        }
    }
}

/// Appends eight columns in different units, as a station's instruments measure them.
fn row(moisture: f64, station: &Station, rng: &mut StdRng, cells: &mut Vec<f64>) {
    for (column, bias) in station.iter().enumerate() {
        let sign = if column % 2 == 0 { 1.0 } else { -1.0 };
        let scale = 10.0_f64.powi(column as i32 % 4 - 1);
        let value = scale * (5.0 + sign * moisture + bias + 0.15 * standard_normal(rng));
        cells.push(if rng.random_ratio(1, 30) { f64::NAN } else { value });
    }
}
