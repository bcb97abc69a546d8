//! Steps by turns.

use anyhow::Result;

use crate::clock::Clock;

/// One step.
pub type Contestant = Box<dyn FnMut() -> Result<()>>;
/// One step that knows its own seconds.
pub type Timed = Box<dyn FnMut() -> Result<f64>>;

/// Contestants that take turns.
pub struct Rounds {
    clock: Clock,
    all: Vec<(String, Timed)>,
}

/// Seconds of every contestant in every round.
pub struct Times(Vec<(String, Vec<f64>)>);

impl Rounds {
    pub fn new(clock: Clock) -> Self {
        Self { clock, all: Vec::new() }
    }

    pub fn add(&mut self, name: impl Into<String>, mut step: Contestant) {
        let clock = self.clock;
        self.add_timed(name, Box::new(move || clock.time(&mut step)));
    }

    pub fn add_timed(&mut self, name: impl Into<String>, step: Timed) {
        self.all.push((name.into(), step));
    }

    /// After one round that does not count: each round starts with another contestant, and nobody
    /// always follows the same.
    pub fn run(mut self, rounds: usize) -> Result<Times> {
        let count = self.all.len();
        let mut times = vec![Vec::new(); count];
        for round in 0..=rounds {
            eprintln!("round {round} of {rounds}");
            let forward = (0..count).map(|i| (i + round * 5) % count);
            let order: Vec<usize> =
                if round % 2 == 0 { forward.collect() } else { forward.rev().collect() };
            for i in order {
                let seconds = (self.all[i].1)()?;
                if round > 0 {
                    times[i].push(seconds);
                }
            }
        }
        Ok(Times(self.all.into_iter().map(|(name, _)| name).zip(times).collect()))
    }
}

impl Times {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn of(&self, name: &str) -> Option<&[f64]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, times)| times.as_slice())
    }

    /// Median seconds; NaN for a name that did not run.
    pub fn median(&self, name: &str) -> f64 {
        self.of(name).map_or(f64::NAN, |times| quantile(times.to_vec(), 0.5))
    }

    /// The quartiles of `name`'s seconds by `reference`'s in the same round; `None` where one of them
    /// did not run.
    pub fn ratio(&self, name: &str, reference: &str) -> Option<[f64; 3]> {
        let pairs = self.of(name)?.iter().zip(self.of(reference)?);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        Some([0.25, 0.5, 0.75].map(|at| quantile(ratios.clone(), at)))
    }
}

/// With linear interpolation.
pub fn quantile(mut values: Vec<f64>, at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = at * (values.len() - 1) as f64;
    let (low, rest) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(values.len() - 1);
    values[low] * (1.0 - rest) + values[high] * rest
}
