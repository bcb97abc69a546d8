//! Random numbers for generated data.

use rand::{Rng, rngs::StdRng};

/// A standard normal value (Box–Muller transform).
pub fn standard_normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
