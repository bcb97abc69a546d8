//! Eight classes told by three bits, a pure function of its seed.
//!
//! | modality | form | what it tells |
//! |---|---|---|
//! | text | a vector of 24 | the first two bits, plainly |
//! | audio | a vector of 24 | the second bit, and the first under noise |
//! | video | a sequence of 4 to 12 steps of 6 | the third bit alone, in which of two features moves first |
//!
//! So video is the weakest teacher, and without it no more than half of the samples can be told.

use anyhow::Result;
use g2d::{
    Modality,
    data::InMemory,
    paper::data::{FeatureShape, Features, Sequences},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tch::Tensor;

const VECTOR: usize = 24;
const STEPS: usize = 12;
const STEP: usize = 6;

/// 600 samples for training, 200 for validation, 400 for the test.
pub fn features(seed: u64) -> Result<Features> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (train, val, test) = (split(600, &mut rng)?, split(200, &mut rng)?, split(400, &mut rng)?);
    let vector = FeatureShape::Vector(VECTOR as i64);
    let shapes = vec![vector, vector, FeatureShape::Sequence(STEP as i64)];
    Ok(Features { train, val: Some(val), test, shapes })
}

fn split(n: usize, rng: &mut StdRng) -> Result<InMemory> {
    let (mut text, mut audio, mut video) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lengths, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let label = rng.random_range(0..8_i64);
        let [first, second, third] = [label & 4, label & 2, label & 1].map(|bit| bit != 0);
        vector([(first, 0.9), (second, 0.9)], rng, &mut text);
        vector([(first, 0.25), (second, 0.7)], rng, &mut audio);
        lengths.push(sequence(third, rng, &mut video));
        labels.push(label);
    }
    let n = n as i64;
    let video = Tensor::from_slice(&video).view([n, STEPS as i64, STEP as i64]);
    let inputs = vec![
        Tensor::from_slice(&text).view([n, VECTOR as i64]),
        Tensor::from_slice(&audio).view([n, VECTOR as i64]),
        Sequences::pack(&video, &Tensor::from_slice(&lengths))?,
    ];
    let modalities = Modality::list(["text", "audio", "video"]);
    Ok(InMemory::new(modalities, inputs, Tensor::from_slice(&labels))?)
}

/// Noise, with each bit in half of the features at its strength.
fn vector(bits: [(bool, f64); 2], rng: &mut StdRng, values: &mut Vec<f32>) {
    for i in 0..VECTOR {
        let (bit, strength) = bits[i % 2];
        values.push((if bit { strength } else { -strength } + 1.2 * normal(rng)) as f32);
    }
}

/// A bump in one feature, then in another; the bit says which comes first. Returns the length.
fn sequence(bit: bool, rng: &mut StdRng, values: &mut Vec<f32>) -> i64 {
    let length = rng.random_range(4..=STEPS);
    let early = rng.random_range(0..length / 2);
    let late = rng.random_range(length / 2..length);
    let (one, other) = if bit { (early, late) } else { (late, early) };
    for step in 0..STEPS {
        for feature in 0..STEP {
            let bump = (feature == 0 && step == one) || (feature == 1 && step == other);
            let value = if bump { 3.0 } else { 0.0 } + 0.5 * normal(rng);
            values.push(if step < length { value as f32 } else { 0.0 });
        }
    }
    length as i64
}

/// A standard normal value (Box and Muller).
fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
