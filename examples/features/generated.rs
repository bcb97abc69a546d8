//! Generated features, a pure function of the seed.
//!
//! [`GeneratedSet::Bits`] has eight classes. A class is three bits:
//!
//! | modality | shape | content |
//! |---|---|---|
//! | text | a vector of 24 | the first two bits, clearly |
//! | audio | a vector of 24 | the second bit, and the first under noise |
//! | video | a sequence of 4 to 12 steps of 6 | the third bit: which of two features peaks first |
//!
//! Video is the weakest teacher; without it no model can classify more than half of the samples.
//!
//! [`GeneratedSet::Parity`] has two classes and two modalities, vectors of 20. Each hides one random bit,
//! and the class is their exclusive or, so that one modality alone tells nothing.

use std::fmt;

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

/// Width of a vector of the parity set, and of its informative part.
const PARITY: usize = 20;
const INFORMATIVE: usize = 4;

/// A generated data set.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum GeneratedSet {
    /// Three modalities, of which the weakest contains what the others lack
    #[default]
    Bits,
    /// Two modalities, of which each alone tells nothing
    Parity,
}

impl GeneratedSet {
    /// Training, validation and test samples: 600, 200 and 400 of bits, 1500, 500 and 1000 of parity.
    pub fn features(self, seed: u64) -> Result<Features> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (sizes, split, shapes): (_, fn(usize, &mut StdRng) -> Result<InMemory>, _) = match self
        {
            Self::Bits => {
                let vector = FeatureShape::Vector(VECTOR as i64);
                let shapes = vec![vector, vector, FeatureShape::Sequence(STEP as i64)];
                ([600, 200, 400], bits, shapes)
            }
            Self::Parity => {
                ([1500, 500, 1000], parity, vec![FeatureShape::Vector(PARITY as i64); 2])
            }
        };
        let [train, val, test] = sizes.map(|n| split(n, &mut rng));
        Ok(Features { train: train?, val: Some(val?), test: test?, shapes })
    }
}

/// The name of the data.
impl fmt::Display for GeneratedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bits => "a generated set of three modalities",
            Self::Parity => "a generated set of parities",
        })
    }
}

/// Samples whose class is the exclusive or of one hidden bit per modality. The bit shifts the first
/// features, in noise.
fn parity(n: usize, rng: &mut StdRng) -> Result<InMemory> {
    let (mut inputs, mut labels) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..n {
        let bits = [rng.random::<bool>(), rng.random::<bool>()];
        for (bit, values) in bits.into_iter().zip(&mut inputs) {
            for i in 0..PARITY {
                let shift = if i >= INFORMATIVE {
                    0.0
                } else if bit {
                    1.5
                } else {
                    -1.5
                };
                values.push((shift + standard_normal(rng)) as f32);
            }
        }
        labels.push(i64::from(bits[0] != bits[1]));
    }
    let inputs = inputs.map(|values| Tensor::from_slice(&values).view([n as i64, PARITY as i64]));
    let modalities = Modality::list(["left", "right"]);
    Ok(InMemory::new(modalities, inputs, Tensor::from_slice(&labels))?)
}

fn bits(n: usize, rng: &mut StdRng) -> Result<InMemory> {
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
