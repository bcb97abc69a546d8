//! Generated features of eight classes, a pure function of the seed. A class is three bits.
//!
//! | modality | shape | content |
//! |---|---|---|
//! | text | a vector of 24 | the first two bits, clearly |
//! | audio | a vector of 24 | the second bit, and the first under noise |
//! | video | a sequence of 4 to 12 steps of 6 | the third bit: which of two features peaks first |
//!
//! Video is the weakest teacher; without it no model can classify more than half of the samples.

use anyhow::Result;
use g2d::{
    Modality,
    data::InMemory,
    paper::data::{FeatureShape, Features, Sequences},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tch::Tensor;

use crate::support::random::standard_normal;

const VECTOR: usize = 24;
const STEPS: usize = 12;
const STEP: usize = 6;

/// 600 training, 200 validation and 400 test samples.
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

/// Appends noise to which each bit is added, with its strength, in half of the features.
fn vector(bits: [(bool, f64); 2], rng: &mut StdRng, values: &mut Vec<f32>) {
    for i in 0..VECTOR {
        let (bit, strength) = bits[i % 2];
        values.push((if bit { strength } else { -strength } + 1.2 * standard_normal(rng)) as f32);
    }
}

/// Appends a sequence with a peak in one feature, then in another, in the order that the bit
/// determines. Returns the length.
fn sequence(bit: bool, rng: &mut StdRng, values: &mut Vec<f32>) -> i64 {
    let length = rng.random_range(4..=STEPS);
    let early = rng.random_range(0..length / 2);
    let late = rng.random_range(length / 2..length);
    let (one, other) = if bit { (early, late) } else { (late, early) };
    for step in 0..STEPS {
        for feature in 0..STEP {
            let peak = (feature == 0 && step == one) || (feature == 1 && step == other);
            let value = if peak { 3.0 } else { 0.0 } + 0.5 * standard_normal(rng);
            values.push(if step < length { value as f32 } else { 0.0 });
        }
    }
    length as i64
}
