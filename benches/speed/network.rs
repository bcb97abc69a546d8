//! A model of the time that ranks need to reduce gradients, on paper.

use crate::results::{number, print_table};

/// A connection between two ranks.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Seconds of an empty message.
    pub latency: f64,
    /// Bytes per second that each rank sends while it receives as many.
    pub bandwidth: f64,
}

/// Networks by name: the latency and throughput that TCP or InfiniBand usually reach, not their nominal values.
const NETWORKS: [(&str, Network); 4] = [
    ("10 Gbit Ethernet", Network { latency: 50e-6, bandwidth: 1.1e9 }),
    ("25 Gbit Ethernet", Network { latency: 30e-6, bandwidth: 2.8e9 }),
    ("100 Gbit Ethernet", Network { latency: 20e-6, bandwidth: 11e9 }),
    ("200 Gbit InfiniBand", Network { latency: 2e-6, bandwidth: 23e9 }),
];

/// Buckets of libtorch's reducer, which are reduced one after the other.
const BUCKET: f64 = 25.0 * 1024.0 * 1024.0;

/// What a step of one rank is made of.
#[derive(Debug, Clone, Copy)]
pub struct StepCost {
    /// Seconds of the step without other ranks.
    pub alone: f64,
    /// Bytes of the gradients that are reduced.
    pub bytes: f64,
    /// The part of the reduction during which backward computes.
    pub hidden: f64,
}

impl Network {
    /// Seconds of a ring: 2 (N − 1) messages per bucket, which together carry 2 (N − 1) / N of the bytes.
    pub fn all_reduce(self, bytes: f64, ranks: usize) -> f64 {
        let n = ranks as f64;
        let messages = 2.0 * (n - 1.0) * (bytes / BUCKET).ceil().max(1.0);
        messages * self.latency + 2.0 * (n - 1.0) / n * bytes / self.bandwidth
    }

    /// Seconds of a step: the step alone, what is not hidden of the reduction, and two exchanges, each of
    /// 2 log₂ N messages.
    pub fn step(self, cost: StepCost, ranks: usize) -> f64 {
        let StepCost { alone, bytes, hidden } = cost;
        let exchanges = 2.0 * 2.0 * (ranks as f64).log2().ceil() * self.latency;
        alone + (1.0 - hidden) * self.all_reduce(bytes, ranks) + exchanges
    }
}

/// Prints the step time on named networks relative to the step alone.
pub fn print_predictions(title: &str, costs: &[(&str, StepCost)]) {
    const RANKS: [usize; 4] = [8, 64, 256, 1024];
    let mut rows = Vec::new();
    for (network, each) in NETWORKS {
        for (step, cost) in costs {
            let ratio = |ranks| number(each.step(*cost, ranks) / cost.alone);
            let cells = RANKS.map(ratio);
            rows.push([vec![network.to_owned(), (*step).to_owned()], cells.to_vec()].concat());
        }
    }
    let header: Vec<String> = RANKS.map(|n| format!("{n} ranks")).to_vec();
    let header: Vec<&str> =
        ["network", "step"].into_iter().chain(header.iter().map(String::as_str)).collect();
    print_table(title, &header, rows);
}
