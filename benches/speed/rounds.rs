//! Interleaved rounds of steps.

use anyhow::Result;

use crate::clock::Clock;

/// One step.
pub type Step = Box<dyn FnMut() -> Result<()>>;
/// One step that returns its duration in seconds.
pub type TimedStep = Box<dyn FnMut() -> Result<f64>>;

/// Steps that are timed in interleaved rounds.
pub struct Rounds {
    clock: Clock,
    warm_up: bool,
    steps: Vec<(String, TimedStep)>,
}

/// The seconds of every step in every round.
pub struct Times(Vec<(String, Vec<f64>)>);

impl Rounds {
    pub fn new(clock: Clock) -> Self {
        Self { clock, warm_up: true, steps: Vec::new() }
    }

    /// Rounds of whole processes, which need no warm-up.
    pub fn without_warm_up(clock: Clock) -> Self {
        Self { warm_up: false, ..Self::new(clock) }
    }

    pub fn add(&mut self, name: impl Into<String>, mut step: Step) {
        let clock = self.clock;
        self.add_timed(name, Box::new(move || clock.time(&mut step)));
    }

    pub fn add_timed(&mut self, name: impl Into<String>, step: TimedStep) {
        self.steps.push((name.into(), step));
    }

    /// Times every step once per round, after a warm-up round if there is one. Each round starts with another step,
    /// and every other round is in reverse order, so that no step always follows the same step.
    pub fn run(mut self, rounds: usize) -> Result<Times> {
        let count = self.steps.len();
        let mut times = vec![Vec::new(); count];
        for round in usize::from(!self.warm_up)..=rounds {
            eprintln!("round {round} of {rounds}");
            let forward = (0..count).map(|i| (i + round * 5) % count);
            let order: Vec<usize> =
                if round % 2 == 0 { forward.collect() } else { forward.rev().collect() };
            for i in order {
                let seconds = (self.steps[i].1)()?;
                if round > 0 {
                    times[i].push(seconds);
                }
            }
        }
        Ok(Times(self.steps.into_iter().map(|(name, _)| name).zip(times).collect()))
    }
}

impl Times {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    fn get(&self, name: &str) -> Option<&[f64]> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, times)| times.as_slice())
    }

    /// The median seconds of a step; NaN if it did not run.
    pub fn median(&self, name: &str) -> f64 {
        self.get(name).map_or(f64::NAN, |times| quantile(times.to_vec(), 0.5))
    }

    /// The quartiles of the ratio `name` / `reference` within a round; `None` if one did not run.
    pub fn ratio(&self, name: &str, reference: &str) -> Option<[f64; 3]> {
        let pairs = self.get(name)?.iter().zip(self.get(reference)?);
        let ratios: Vec<f64> = pairs.map(|(a, b)| a / b).collect();
        Some([0.25, 0.5, 0.75].map(|q| quantile(ratios.clone(), q)))
    }
}

/// The quantile `q` of `values`, with linear interpolation.
pub fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let position = q * (values.len() - 1) as f64;
    let (low, fraction) = (position.floor() as usize, position.fract());
    let high = (low + 1).min(values.len() - 1);
    values[low] * (1.0 - fraction) + values[high] * fraction
}
